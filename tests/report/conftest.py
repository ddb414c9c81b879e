import dataclasses
import pathlib

import fake_runs
import fake_study
import pytest

from jaxent.report import classify, match, page
from jaxent.runs import folder as run_folder
from jaxent.runs import records


@dataclasses.dataclass(frozen=True)
class Written:
    """A report: the folder, its records, where it was written, the page's text."""

    root: pathlib.Path
    found: records.Collection
    placed: match.MatchedResults
    out: pathlib.Path
    page: str


def report(root: pathlib.Path, out: pathlib.Path) -> Written:
    found = records.read_records(root)
    page.write(found, out, "A <title>", ["experiments/report.py", "--runs=a b"])
    return Written(
        root,
        found,
        classify.classify_records(found),
        out,
        (out / run_folder.REPORT).read_text(),
    )


@pytest.fixture(scope="session")
def full(tmp_path_factory):
    """The report of an invented full study."""
    root = tmp_path_factory.mktemp("full")
    fake_study.write_study(root)
    return report(root, tmp_path_factory.mktemp("full_report"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A few runs of another family, one half-written, beside foreign files."""
    root = tmp_path_factory.mktemp("tiny")
    short = {"max_steps": 8, "data_root": "embedded"}
    path = ((0, 0.5), (4, 0.45), (8, 0.4))
    for seed in (0, 1):
        fake_runs.run(
            root,
            "some/tiny",
            "B3",
            seed,
            path,
            settings=short,
            record={"parameters": 1_000_000},
        )
    fake_runs.run(
        root,
        "some/tiny-small",
        "B3",
        0,
        path,
        settings=short,
        record={"parameters": 300_000},
    )
    fake_runs.run(root, "some/tiny", "B4", 0, path, settings=short)
    fake_runs.run(root, "some/tiny", "B2", 0, ((0, 0.5), (4, None)), settings=short)
    fake_runs.run(root, "some/tiny", "B6", 0, path, settings=short, finished=False)
    fake_runs.evaluation(
        root, "some/tiny", 0, name="he", problems=4, subset="subset: 4 of 164 problems"
    )
    fake_runs.crosstalk(
        root, "some/tiny", {"math": (0.1, 0.0, 0.2), "creative": (None, None, None)}
    )
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text('{"settings": ')
    (root / "broken" / "notes.docx").write_text("")
    (root / "foreign").mkdir()
    (root / "foreign" / "crosstalk.json").write_text("[1, 2]")
    torn = next(root.glob("tiny/B3-strong-seed1*/metrics.jsonl"))
    torn.write_text(torn.read_text() + '{"kind": "measure", "st')
    return report(root, tmp_path_factory.mktemp("tiny_report"))
