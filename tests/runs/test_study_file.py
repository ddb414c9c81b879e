import dataclasses
import json
import pathlib
import re

import pytest

from jaxent.runs import spec, study_file, study_spec

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = {
    "name": "own",
    "models": ["a/s", {"model": "a/m", "seeds": [3], "micro_batch_size": 2}],
    "seeds": [0, 1],
    "settings": {"max_steps": 20, "learning_rate": 1},
    "interventions": {"small": {"lora_r": 8}},
    "runs": [
        {"condition": "B0"},
        {"condition": ["B2", "B3"], "intervention": "small"},
        {
            "condition": "B2",
            "models": ["a/m"],
            "seeds": [3],
            "adapter": {"condition": "B3"},
            "lora_target_modules": ["q_proj"],
        },
    ],
    "tables": [
        {"by": ["model", "condition", "seed"], "columns": ["EI", "CVO"]},
        {
            "title": "By step",
            "by": ["condition"],
            "columns": [["EI"], ["CVO"]],
            "where": {"condition": ["B2", "B3"], "seed": 0},
            "unless": {"adapter": None},
            "steps": True,
        },
    ],
}


def changed(path: str, value) -> dict:
    """GOOD with one value in another's place; path: keys and indices."""
    content = json.loads(json.dumps(GOOD))
    *above, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    at = content
    for key in above:
        at = at[key]
    at[last] = value
    return content


def test_a_whole_file(tmp_path):
    file = tmp_path / "own.json"
    file.write_text("\ufeff" + json.dumps(GOOD), encoding="utf-8")
    study = study_file.read_study(file)
    assert study.models[1] == study_spec.Model("a/m", (3,), {"micro_batch_size": 2})
    assert study.settings == {"max_steps": 20, "learning_rate": 1.0}
    assert study.cells[2].values["lora_target_modules"] == (("q_proj",),)
    assert study.cells[2].begin_from == {"condition": "B3"}
    assert study.tables[0].blocks == (("EI", "CVO"),)
    assert study.tables[1].blocks == (("EI",), ("CVO",)) and study.tables[1].steps
    assert study.tables[1].where == {"condition": ("B2", "B3"), "seed": (0,)}
    runs = study_spec.expand(study)
    assert [run.name for run in runs][:3] == [
        "s/B0",
        "s/B2-small-seed0",
        "s/B2-small-seed1",
    ]
    last = runs[-1]
    assert (last.adapter, last.intervention, last.micro_batch_size) == (
        "m/B3-small-seed3",
        "strong",
        2,
    )


def test_a_list_is_a_value_where_the_field_is_a_list():
    raw = changed("runs.1.lora_target_modules", [["q_proj"], ["q_proj", "v_proj"]])
    values = study_file.parse_study(raw, "f").cells[1].values
    assert values["lora_target_modules"] == (("q_proj",), ("q_proj", "v_proj"))


@pytest.mark.parametrize("name", [file.stem for file in study_file.FOLDER.iterdir()])
def test_the_papers_studies_are_sound(name):
    study = study_file.read_study(study_file.FOLDER / f"{name}.json")
    assert study.name == name and study.tables
    runs = study_spec.expand(study)
    for table in study.tables:
        assert any(map(table.selects, runs)), table.title


def test_the_example_of_the_document_is_sound():
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    example = re.search(r"^    \{\n(.*?)^    \}\n", text, re.MULTILINE | re.DOTALL)
    study = study_file.parse_study(json.loads(example[0]), "docs/studies.md")
    runs = study_spec.expand(study)
    assert len(runs) == (1 + 2 * 2 * 3 + 2 * 3 + 3) + (1 + 4 + 2 + 1)
    assert {run.max_steps for run in runs if run.intervention == "short"} == {100}
    for table in study.tables:
        assert any(map(table.selects, runs)), table.title


WRONG = [
    ("name", "a/b", "f.json: name 'a/b', expected a folder's name"),
    ("name", 3, "f.json: name 3, expected text"),
    ("models", "a/s", "f.json: models 'a/s', expected a list"),
    ("models", [], "f.json: models [], expected at least one"),
    ("models.0", 3, "f.json: models[0] 3, expected a folder, a Hub id"),
    ("models.1.seeds", [1, 1], "models[1].seeds [1, 1], expected distinct integers"),
    ("models.1.micro_batch_size", "2", "models[1].micro_batch_size '2', expected an"),
    ("seeds", ["0"], "f.json: seeds ['0'], expected a list of an integer"),
    ("seeds", [-1], "f.json: seeds [-1], expected distinct integers from 0 on"),
    ("seeds", [], "f.json: seeds [], expected distinct integers"),
    (
        "settings.learning_rate",
        "1e-4",
        "learning_rate '1e-4', expected a finite number",
    ),
    ("settings.packing", "false", "settings.packing 'false', expected true or false"),
    ("settings.max_step", 3, "f.json: settings: key 'max_step', expected 'max_steps'"),
    ("settings.model", "m", "f.json: settings: key 'model', expected 'models'"),
    ("settings.seed", 1, "f.json: settings: key 'seed', expected 'seeds'"),
    ("settings", [], "f.json: settings [], expected an object"),
    ("interventions.small", 3, "interventions.small 3, expected an object of settings"),
    ("interventions.small.lora_r", None, "small.lora_r None, expected an integer"),
    ("runs", [], "f.json: runs [], expected at least one"),
    ("runs.0", "B0", "f.json: runs[0] 'B0', expected an object of settings"),
    ("runs.1.condition", [], "f.json: runs[1].condition [], expected at least one"),
    ("runs.1.condition", ["B2", 3], "f.json: runs[1].condition[1] 3, expected text"),
    ("runs.1.lora_r", 8.5, "f.json: runs[1].lora_r 8.5, expected an integer"),
    ("runs.1.conditions", ["B2"], "runs[1]: key 'conditions', expected 'condition'"),
    ("runs.1.seed", 3, "f.json: runs[1]: key 'seed', expected 'seeds'"),
    ("runs.2.adapter.conditon", 1, "runs[2].adapter: key 'conditon', expected 'cond"),
    ("runs.2.models", "a/m", "f.json: runs[2].models 'a/m', expected a list of text"),
    ("tables.0.by", ["modle"], "f.json: tables[0].by: key 'modle', expected 'model'"),
    ("tables.0.columns", ["CV"], "f.json: tables[0].columns: key 'CV', expected 'CVO'"),
    ("tables.1.steps", "yes", "f.json: tables[1].steps 'yes', expected true or false"),
    ("tables.1.where.sed", 1, "f.json: tables[1].where: key 'sed', expected 'seed'"),
    ("tables.1.unless.seed", "0", "f.json: tables[1].unless.seed '0', expected an int"),
    ("tabels", [], "f.json: key 'tabels', expected 'tables'"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_one_error_names_file_key_value_and_expected(path, value, message):
    with pytest.raises(ValueError, match="f.json: ") as caught:
        study_file.parse_study(changed(path, value), "f.json")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "own.json, line 1: it ends within a value"),
        ("[]", "own.json: holds a list, expected an object"),
        ('{"name": "a", "name": "b"}', "key 'name' comes twice, with two values"),
        ('{"name": "a", "models": ["m"]}', "own.json: key 'runs' is missing"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, message):
    file = tmp_path / "own.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        study_file.read_study(file)
    with pytest.raises(FileNotFoundError, match="none.json: no such file, expected"):
        study_file.read_study(tmp_path / "none.json")


def test_a_field_that_a_run_gets_later_needs_no_change_here(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class LaterRun(spec.RunSpec):
        mixture_text: str | None = None

    monkeypatch.setattr(spec, "RunSpec", LaterRun)
    raw = changed("runs.1.mixture_text", ["code:70,law:30", None])
    cell = study_file.parse_study(raw, "f.json").cells[1]
    assert cell.values["mixture_text"] == ("code:70,law:30", None)
    with pytest.raises(ValueError, match="mixture_text 3, expected text or null"):
        study_file.parse_study(changed("runs.1.mixture_text", 3), "f.json")
