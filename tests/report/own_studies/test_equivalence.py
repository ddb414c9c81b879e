import equivalence as checks
import fake_runs
import parsed_page

from jaxent.report import page
from jaxent.report.own_studies import equivalence
from jaxent.runs import folder as run_folder
from jaxent.runs import records

CHECKS = (
    checks.Check("dense logits", "transformers", 3e-6, 1e-4, 2e-6, 1.5e-6, 9e-6),
    checks.Check("LoRA gradient", "PEFT", 3e-5, 1e-4, 4e-6, 1e-6, 8e-5),
    checks.Check("NF4 codes", "bitsandbytes", 0.0, 0.0),
)


def document(folder="checks"):
    about = {"settings": {"model": "some/where/smol"}, **fake_runs.ORIGIN}
    return records.Equivalence(folder, checks.to_record(CHECKS) | about)


def test_a_row_a_check():
    assert equivalence.equivalence_tables([]) == []
    [table] = equivalence.equivalence_tables([document()])
    assert table.caption.startswith("2 of 3 checks passed: ")
    texts = [[cell.text for cell in row] for row in table.rows]
    assert [row[:4] for row in texts] == [
        ["dense logits", "pass", "transformers", "smol"],
        ["LoRA gradient", "fail", "PEFT", "smol"],
        ["NF4 codes", "pass", "bitsandbytes", "smol"],
    ]
    assert [row[4:] for row in texts] == [
        ["2.0e-06", "1.5e-06", "9.0e-06", "1.0e-04", "3.0e-06"],
        ["4.0e-06", "1.0e-06", "8.0e-05", "1.0e-04", "3.0e-05"],
        ["–", "–", "–", "0", "0"],
    ]
    assert [row[0].notes for row in table.rows] == [(), (), (1,)]
    assert [fact["passed"] for fact in table.facts] == [True, False, True]


def test_the_page_shows_it_folded(tmp_path):
    folder = tmp_path / "runs" / "checks"
    run_folder.write_json(folder / run_folder.EQUIVALENCE, document().content)
    found = records.read_records(tmp_path / "runs")
    assert not found.unread and len(found.equivalences) == 1
    text = page.write(found, tmp_path / "out", "T", ["report.py"]).read_text()
    assert "<details><summary>2 of 3 checks passed</summary>" in text
    cells = [text for _, text in parsed_page.Parsed(text).tables["equivalence-table"]]
    assert "LoRA gradient" in cells and "fail" in cells
    lines = (tmp_path / "out/tables/equivalence-table.csv").read_text().splitlines()
    assert lines[0].startswith("folder,model,name,against,ours,theirs,worst")
    assert lines[1] == (
        "checks,smol,dense logits,transformers,2e-06,1.5e-06,9e-06,0.0001,3e-06,True"
    )


def test_without_one_the_page_says_how_to_make_it(tiny):
    command = "python scripts/check_equivalence.py --output_dir=&lt;folder&gt;"
    assert f"Not run: <code>{command}</code>" in tiny.page
