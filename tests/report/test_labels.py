import fake_runs

from jaxent.report import classify
from jaxent.runs import records


def test_settings_that_do_not_act_do_not_set_runs_apart(tmp_path):
    tiny = {"max_steps": 8, "data_root": "embedded"}
    fake_runs.run(tmp_path, "some/tiny", "B3", 0, settings=tiny | {"measure_steps": 4})
    fake_runs.run(tmp_path, "some/tiny", "B4", 0, settings=tiny | {"csr_every": 4})
    fake_runs.run(
        tmp_path, "some/tiny", "B5", 0, settings=tiny | {"curriculum_steps": 2}
    )
    found = classify.classify_records(records.read_records(tmp_path)).other
    assert {p.key["model"] for p in found.runs} == {"tiny"}
    fake_runs.run(tmp_path, "some/tiny", "B3", 1, settings=tiny | {"lora_r": 4})
    found = classify.classify_records(records.read_records(tmp_path)).other
    assert {p.key["model"] for p in found.runs} == {
        "tiny (lora_r 64)",
        "tiny (lora_r 4)",
    }
