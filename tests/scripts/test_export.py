import json
import os
import pathlib
import subprocess
import sys

import fake_runs
import huggingface_hub
import jax
import pytest
import safetensors.numpy

from jaxent.arrays import lora
from jaxent.checkpoint import peft
from jaxent.model import blocks, config
from jaxent.runs import spec, validate

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "export.py"
SMALL = spec.TINY_LADDER[0]
NAMES = ["--adapter=/none/x", "--output_dir=/none/y"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the smallest embedded model, its measurements invented."""
    record = {"model_hash": validate.fingerprint(pathlib.Path(SMALL))}
    root = tmp_path_factory.mktemp("runs")
    folder = fake_runs.run(root, SMALL, "B3", name="run", record=record)
    c = config.read_config(SMALL)
    settings = lora.LoraConfig(2, 4.0, modules=("q_proj",))
    key, shapes = jax.random.key(0), blocks.linear_shapes(c)
    adapter = lora.init_adapter(key, settings, c.layers, shapes)
    peft.save_adapter(adapter, folder / "adapter", SMALL)
    return folder


DRIVER = """
import contextlib, io, json, sys
import export
from jaxent import command

answers = []
for arguments in json.loads(sys.argv[1]):
    out, status = io.StringIO(), None
    with contextlib.redirect_stdout(out):
        try:
            export.FLAGS.unparse_flags()
            for name in export.FLAGS:
                export.FLAGS[name].unparse()
            command.parse("__main__", export.__doc__, ["export.py", *arguments])
            export.main()
        except SystemExit as end:
            status = end.code
    answers.append([status, out.getvalue()])
print(json.dumps(answers))
"""
WRONG = {
    "--adapter is missing": ["--output_dir=x"],
    "--output_dir is missing": ["--adapter=x"],
    "'5': expected a size such as": [*NAMES, "--max_shard_size=5"],
    "--push_to_hub 'm': expected a Hub id": [*NAMES, "--push_to_hub=m"],
    "--base_model_id '/m/n': expected": [*NAMES, "--base_model_id=/m/n"],
    "--private without --push_to_hub": [*NAMES, "--private"],
    "--dtype with --nomerge": [*NAMES, "--nomerge", "--dtype=bf16"],
    "no such folder": NAMES,
}


@pytest.fixture(scope="module")
def answers(run, tmp_path_factory):
    """Exit status and output of the script's main function, by case."""
    root = tmp_path_factory.mktemp("exports")
    given = [f"--adapter={run}"]
    cases = {
        "merged": [
            *given,
            f"--output_dir={root}/merged",
            "--dtype=fp32",
            "--max-shard-size=1MB",
        ],
        "adapter": [*given, "--nomerge", f"--output_dir={root}/adapter"],
        "dry": [
            *given,
            f"--output_dir={root}/dry",
            "--dry_run",
            "--push_to_hub=me/model",
            "--private",
        ],
        "offline": [*given, f"--output_dir={root}/off", "--push_to_hub=me/model"],
        **WRONG,
    }
    found = python("-c", DRIVER, json.dumps([*cases.values()]))
    assert found.returncode == 0, found.stderr
    return root, dict(zip(cases, json.loads(found.stdout.splitlines()[-1])))


def python(*arguments) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[1])])
    environment = {
        "JAX_PLATFORMS": "cpu",
        "HF_TOKEN": "hf_" + "x" * 34,
        "PYTHONPATH": path,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


def test_merged_in_shards_and_another_dtype(answers):
    root, by_case = answers
    status, said = by_case["merged"]
    out = root / "merged"
    assert status is None, status
    assert f"Export: {out}" in said and "at most 1MB a file" in said
    shards = sorted(out.glob("model-*.safetensors"))
    assert len(shards) > 1
    tensors = safetensors.numpy.load_file(shards[0])
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"float32"}
    assert '"torch_dtype": "float32"' in (out / "config.json").read_text()
    card = huggingface_hub.ModelCard.load(out / "README.md")
    assert card.data.library_name == "transformers"


def test_the_adapter_alone(answers):
    root, by_case = answers
    assert by_case["adapter"][0] is None, by_case["adapter"]
    assert sorted(file.name for file in (root / "adapter").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_a_dry_run_writes_and_sends_nothing(answers):
    root, by_case = answers
    status, said = by_case["dry"]
    assert status is None, status
    assert "to the private repository me/model" in said
    assert "tokenizer.json, tokenizer_config.json, README.md" in said
    assert not list(root.glob("dry*"))


def test_a_push_without_a_network_ends_before_anything_is_written(answers):
    root, by_case = answers
    assert by_case["offline"][0].startswith("export: me/model: HF_HUB_OFFLINE is set")
    assert not list(root.glob("off*"))


@pytest.mark.parametrize("message", WRONG)
def test_wrong_flags_are_one_line(answers, message):
    status, _ = answers[1][message]
    assert message in status and status.startswith("export: ")


def test_the_command_answers_to_other_tools_flags():
    found = python(str(SCRIPT), "--lora_model_dir=x")
    assert found.returncode == 1 and "Traceback" not in found.stderr
    assert "export: --lora_model_dir is no flag here: use --adapter" in found.stderr
