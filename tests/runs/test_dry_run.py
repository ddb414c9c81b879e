from jaxent.runs import dry_run, questions
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs


def test_plan_knows_the_published_shapes(tmp_path):
    runs = questions.csr_lambda(["Qwen/Qwen2.5-Coder-32B"])
    text = dry_run.format_plan(runs, tmp_path, 300.0)
    assert text.count("163.8 M") == 3 and "3 runs, " in text and "unknown" not in text


def test_plan_counts_the_time_of_unfinished_runs_alone(tmp_path):
    runs = questions.runs("Qwen/Qwen2.5-Coder-7B", "B3", "strong", (0, 1), {})
    before = dry_run.format_plan(runs, tmp_path, 300.0)
    folder = run_folder.RunFolder(tmp_path / runs[0].name)
    folder.write_record({})
    begun = dry_run.format_plan(runs, tmp_path, 300.0)
    folder.write_summary({})
    after = dry_run.format_plan(runs, tmp_path, 300.0)
    states = [text.split("\n")[2].split()[1] for text in (before, begun, after)]
    assert states == ["-", "begun", "finished"]
    hours = [text.split("2 runs, ")[1].split()[0] for text in (before, begun, after)]
    assert hours[0] == hours[1] == "13:30:12" and hours[2] == "6:45:06"


def test_a_model_of_unknown_cost_is_left_out(tmp_path):
    runs = [specs.RunSpec("/nowhere/model", "B3", max_steps=7)]
    text = dry_run.format_plan(runs, tmp_path, 1.0)
    row = text.split("\n")[2].split()
    assert row == ["model/B3-strong-seed0", "-", "7", *["unknown"] * 3]
    assert "1 of unknown cost left out" in text and "0:00:00" in text
