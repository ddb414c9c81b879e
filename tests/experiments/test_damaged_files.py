"""A damaged file ends every script in one line that names it, without a traceback."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from jaxent.data import corpora
from jaxent.evaluate import benchmarks, sample_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny-small"
DEEP = "[" * 100_000
ROW = b'{"whole_func_string": "def f(): return 1"}\n'
OTHER_FILES = {
    "code_search_net/javascript.jsonl": (
        '{"func_documentation_string": "One.", "whole_func_string": "f = () => 1"}\n'
    ),
    "codealpaca/code_alpaca_20k.json": (
        '[{"instruction": "Say one.", "input": "", "output": "print(1)"}]'
    ),
}


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    """A checkpoint whose files may be damaged."""
    return shutil.copytree(TINY, tmp_path / "model")


def ending(script: str, *arguments: str) -> str:
    """The last line of a script that fails as it should."""
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().split("\n")[-1]


def cut(file: pathlib.Path) -> None:
    """Cuts a file as a download that broke off does."""
    whole = file.read_bytes() if file.is_file() else b'{"weight_map": {"model.norm": "'
    file.write_bytes(whole[:-9])


MODEL_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors.index.json",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODEL_FILES, "generation_config.json"])
def test_a_cut_file_of_a_checkpoint(model, name):
    cut(model / name)
    line = ending("experiments/generate.py", f"--model={model}", "--prompt=a")
    assert line.startswith(f"generate: {model / name}, line ")
    assert line.endswith("it ends within a value")


SCRIPTS = {
    "experiments/measure.py": ["--probe_sets=1"],
    "experiments/crosstalk.py": [],
    "experiments/evaluate.py": ["--limit=1", f"--problems={benchmarks.EMBEDDED}"],
    "experiments/finetune.py": ["--max_steps=1", "--data_root=embedded"],
    "scripts/plan.py": ["--topology=v5e:2x2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_that_reads_a_checkpoint(model, tmp_path, script):
    (model / "config.json").write_text(DEEP)
    arguments = [f"--model={model}", *SCRIPTS[script]]
    if not script.endswith("plan.py"):
        arguments.append(f"--output_dir={tmp_path / 'out'}")
    line = ending(script, *arguments)
    assert line.startswith(pathlib.Path(script).stem)
    assert f"{model}/config.json: nested too deeply" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_prompt_that_is_no_text(model):
    say = [sys.executable, str(ROOT / "experiments/generate.py"), f"--model={model}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    piped = subprocess.run(
        say, input=b"a\ncaf\xe9", capture_output=True, env=environment
    )
    assert piped.stderr.decode().startswith(
        "generate: standard input, line 2: byte 0xe9 is not UTF-8"
    )
    given = subprocess.run(
        [*map(os.fsencode, say), b"--prompt=caf\xe9"],
        capture_output=True,
        env=environment,
    )
    assert given.stderr.startswith(b"generate: text 1 of 1 holds half of a character")
    assert piped.returncode == given.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b'{"whole_func_string": "\x93So\x94"}', "line 2: byte 0x93 is not UTF-8"),
        (
            b'{"whole_func_string": "smile \\ud83d"}\n',
            "line 2: whole_func_string: '\\ud83d' is half of a character",
        ),
        (b'{"text": "cut', "line 2: it ends within a value"),
    ],
)
def test_a_damaged_row_of_the_training_data(tmp_path, row, problem):
    for name, content in OTHER_FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    file = tmp_path / "code_search_net" / "python.jsonl"
    file.write_bytes(ROW + row)
    line = ending(
        "experiments/finetune.py",
        "--preset=tiny",
        "--condition=B1",
        f"--data_root={tmp_path}",
        f"--output_dir={tmp_path / 'out'}",
    )
    assert line.startswith(f"finetune: {file}, {problem}")


@pytest.mark.slow
def test_a_damaged_run_folder(tmp_path):
    (tmp_path / "run.json").write_bytes(bytes(64))
    line = ending(
        "experiments/finetune.py",
        "--preset=tiny",
        "--resume",
        f"--output_dir={tmp_path}",
    )
    assert line.startswith(f"finetune: {tmp_path}/run.json: begins with a zero byte")


@pytest.mark.slow
def test_a_damaged_adapter(model, tmp_path):
    file = tmp_path / "adapter" / "adapter_config.json"
    file.parent.mkdir()
    file.write_text('{"r": 8, "lora_alpha": NaN}')
    weights = {"a": np.zeros(1, np.float32)}
    safetensors.numpy.save_file(weights, file.parent / "adapter_model.safetensors")
    line = ending(
        "experiments/measure.py",
        f"--model={model}",
        f"--adapter={file.parent}",
        f"--output_dir={tmp_path / 'out'}",
    )
    assert line == f"measure: {file}: lora_alpha: nan, expected a finite number"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [sample_files.IDENTITY, sample_files.RAW, "problems.jsonl"]
)
def test_damaged_files_of_an_evaluation(model, tmp_path, name):
    problems = tmp_path / "problems.jsonl"
    shutil.copy(benchmarks.EMBEDDED, problems)
    arguments = [
        f"--model={model}",
        f"--problems={problems}",
        f"--output_dir={tmp_path}",
        "--max_new_tokens=2",
        "--noscore",
    ]
    if name == sample_files.RAW:  # its settings must fit, so that it is read
        subprocess.run(
            [sys.executable, str(ROOT / "experiments/evaluate.py"), *arguments],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    (tmp_path / name).write_text('{"task_id": "HumanEval/0", "prompt": "\n', "utf-8")
    line = ending("experiments/evaluate.py", *arguments)
    assert f"{tmp_path / name}, line 1: " in line


@pytest.mark.slow
def test_a_damaged_probe_file(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text('\n{"id": "a"}\n{\n')
    line = ending("scripts/check_probe_surface.py", f"--sets={file}")
    assert line.startswith(f"check_probe_surface: {file}, line 2: fields ['id']")
