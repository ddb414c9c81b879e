import pathlib
import sys

import numpy as np
import pytest

from jaxent.measure import coverage

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"


@pytest.fixture
def coverage_grid(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    yield __import__("coverage_grid")
    sys.modules.pop("coverage_grid", None)


def test_what_is_drawn_is_kept_and_shown(coverage_grid, tmp_path):
    settings = coverage.grid()[:2]
    coverage_grid.draw(settings[:1], ["cvo"], 3, 0, tmp_path)
    [file] = tmp_path.iterdir()
    assert file.name == "noise0_snr1_overlap0_cvo.npz"
    before = file.stat().st_mtime_ns
    coverage_grid.draw(settings[:1], ["cvo"], 3, 0, tmp_path)
    assert file.stat().st_mtime_ns == before
    rng = np.random.default_rng(0)
    drawn = {"value": rng.normal(0.1, 0.1, 40), "z": np.full(40, 4.0)}
    drawn["without"] = drawn["value"][:, None] + rng.normal(0, 0.01, (40, 8))
    np.savez(tmp_path / f"{settings[1].name}_cvo.npz", **drawn)
    rows = coverage_grid.rows(settings, tmp_path)
    assert [row["draws"] for row in rows] == [3, 40] and rows[1]["defined"] == 1
    text = coverage_grid.format_rows(rows)
    assert "### CVO: share of intervals that hold the planted overlap" in text
    assert "| 5 | not run | not run |" in text
    shown = f"{rows[1]['of_expectation']:.3f} / . / . / ."
    assert shown in text.split("###")[2]
    summary = text.split("###")[1]
    assert summary.startswith(" All metrics by SNR") and "| CVO | 1 | 2 |" in summary
