import json

import fake_runs
import pytest

from jaxent.runs import records

PATH = ((0, 0.5), (8, 0.4))


def test_a_run_is_read_with_what_it_measured(tmp_path):
    fake_runs.run(tmp_path, "some/tiny", "B3", 1, PATH, name="a/b")
    [run] = records.read_records(tmp_path).runs
    assert run.folder == "a/b" and run.settings["seed"] == 1
    assert [m.step for m in run.measured] == [0, 8] and run.after.value("ei") == 0.4
    assert run.at(8) is run.after and run.at(7) is None
    assert run.result("sv_energy") == 0.01 and run.about["probe_hash"] == "feed"


def test_older_settings_are_read_under_todays_names(tmp_path):
    old = {"rank": 8, "quantize": False, "steps": 8, "packing": "none"}
    folder = fake_runs.run(tmp_path, "some/tiny", "B3", 0, PATH, finished=False)
    file = folder / "run.json"
    content = json.loads(file.read_text())
    needed = {
        name: content["settings"][name] for name in ("model", "condition", "seed")
    }
    file.write_text(json.dumps(content | {"settings": needed | old}))
    fake_runs.evaluation(tmp_path, "some/tiny", 1, quantize=False, problems=2)
    fake_runs.single(tmp_path, "some/tiny", quantize=True, alpha=2.0)
    found = records.read_records(tmp_path)
    [run], [evaluation], [single] = found.runs, found.evaluations, found.singles
    assert run.settings["lora_r"] == 8 and run.settings["max_steps"] == 8
    assert not run.settings["load_in_4bit"] and run.settings["packing"] is False
    assert not evaluation.settings["load_in_4bit"]
    assert single.about["load_in_4bit"] and single.about["alpha"] == 2.0
    assert "at step 8 of 8" in found.unread[0].text


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("run.json", "{", "line 1: it ends within a value"),
        ("run.json", "[]", "holds a list, expected an object"),
        ("run.json", '{"settings": {"model": "m"}}', "lacks 'condition'"),
        ("summary.json", "{}", "without a run.json beside it"),
        ("scores.json", '{"ended": [], "subset": ""}', "No such file or directory"),
        ("crosstalk.json", '{"model": "m"}', "lacks 'domains'"),
        ("measure.json", "{}", "holds an object, expected a list"),
        ("study.json", "{}", "lacks 'runs'"),
        ("letter.docx", "", "not a record that the report knows"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path, file, content, text):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / file).write_text(content)
    notes = records.read_records(tmp_path).unread
    assert any(text in note.text for note in notes)
    assert all(note.path.startswith("a/") for note in notes)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder of runs"):
        records.read_records(tmp_path / "nowhere")


def test_shares_passed_count_every_sample(tmp_path):
    folder = fake_runs.evaluation(tmp_path, "some/tiny", 1, problems=2)
    scores = json.loads((folder / "scores.json").read_text())
    scores["ended"].append({"task_id": "HumanEval/0", "base": "pass", "plus": "wrong"})
    (folder / "scores.json").write_text(json.dumps(scores))
    [evaluation] = records.read_records(tmp_path).evaluations
    assert evaluation.passed["base"]["HumanEval/0"] == 1.0
    assert evaluation.passed["plus"] == {"HumanEval/0": 0.5, "HumanEval/1": 0.0}
