"""The command line that every script shares."""

import pathlib
import subprocess
import sys

import pytest
from absl import flags

from jaxent import command, json_files

ROOT = pathlib.Path(__file__).resolve().parents[1]
# They plan with shapes, or write a checkpoint of their own.
PLANS = ("plan.py", "plan_scaling.py", "benchmark.py")
SCRIPTS = sorted(
    path
    for folder in ("experiments", "scripts")
    for path in (ROOT / folder).glob("*.py")
    if "command.parse(__name__" in path.read_text(encoding="utf-8")
)


@pytest.fixture
def values(monkeypatch):
    """Flags of an invented script."""
    values = flags.FlagValues()
    flags.DEFINE_integer("max_steps", 5000, "optimizer steps", flag_values=values)
    flags.DEFINE_bool("load_in_4bit", True, "NF4 weights", flag_values=values)
    flags.DEFINE_string("model", None, "checkpoint", flag_values=values)
    flags.DEFINE_integer("seed", 0, "seed", flag_values=values)
    flags.DEFINE_list("seeds", None, "seeds", flag_values=values)
    monkeypatch.setattr(flags, "FLAGS", values)
    return values


def answer(*words: str) -> str:
    with pytest.raises(SystemExit) as left:
        command.parse("__main__", "Does a thing.", ["script.py", *words])
    return str(left.value)


def test_flags_are_parsed_and_dashes_count_as_underscores(values):
    words = ["--max-steps=3", "--noload_in_4bit", "--model", "a-b"]
    command.parse("__main__", None, ["script.py", *words])
    assert (values.max_steps, values.load_in_4bit, values.model) == (3, False, "a-b")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--max_step=3", "did you mean --max_steps?"),
        ("--lr=1", "use --learning_rate"),
        ("--learning_rat=1", "see --help"),
        ("--per_device_train_batch_size=1", "--batch_size"),
        ("--load_in_8bit", "--load_in_4bit"),
        ("--num_train_epochs=3", "--max_steps"),
        ("--model_name_or_path=x", "use --model"),
        ("--zzz", "see --help"),
    ],
)
def test_a_foreign_or_misspelt_flag_names_the_right_one(values, word, expected):
    said = answer(word)
    assert word.split("=")[0] in said
    assert expected in said


def test_stray_words_and_wrong_values_are_refused(values):
    assert "'stray'" in answer("stray")
    assert "max_steps" in answer("--max_steps=many")


def test_one_seed_beside_several_is_refused(values):
    assert "--seed beside --seeds" in answer("--seed=1", "--seeds=1,2")


def test_an_imported_script_parses_nothing(values):
    command.parse("script", None, ["script.py", "--zzz"])


def test_help_is_in_groups_and_ends_well(values, capsys):
    assert answer("--help") == "0"
    shown = capsys.readouterr().out
    assert shown.startswith("Does a thing.")
    assert shown.index("model:") < shown.index("optimisation:")
    assert "--[no]load_in_4bit" in shown
    assert "(default: 5000)" in shown


def test_a_damaged_file_ends_any_script_in_one_line(tmp_path, monkeypatch):
    """Wherever it is read: before the work or within it."""
    (tmp_path / "run.json").write_text('{"settings": ')
    monkeypatch.setattr(sys, "argv", ["experiments/finetune.py"])

    def main():
        json_files.read_json(tmp_path / "run.json")

    with pytest.raises(SystemExit) as left:
        command.run(main)
    place = f"{tmp_path}/run.json, line 1"
    assert left.value.code == f"finetune: {place}: it ends within a value"


def test_every_suggested_flag_exists_in_some_script():
    defined = "".join(
        p.read_text(encoding="utf-8")
        for folder in ("experiments", "scripts")
        for p in (ROOT / folder).glob("*.py")
    )
    for names in command.GROUPS.values():
        assert any(f'"{name}"' in defined for name in names.split())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_help_of_every_script_needs_no_heavy_import(script):
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(script)!r}, '--help']\n"
        f"sys.path.insert(0, {str(script.parent)!r})\n"
        "try:\n"
        f"    runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "except SystemExit as left:\n"
        "    assert not left.code, left.code\n"
        "heavy = {'jax', 'flax', 'transformers', 'torch', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert "output:" in run.stdout or "--" in run.stdout
    if "  --model\n" in run.stdout and script.name not in PLANS:
        assert "  --revision\n" in run.stdout
