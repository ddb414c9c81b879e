import fake_runs
import numpy as np
import pytest

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import trajectories

SHORT = {"max_steps": 8}


def by_label(axis):
    return {line.get_label(): line for line in axis.lines}


def test_published_means_of_the_32b_alone():
    drawn = trajectories.draw(match.ResultSet(), paper_models.QWEN_32B)
    (axis,) = drawn.axes
    line = by_label(axis)["published B3, mean of 8"]
    assert list(line.get_ydata()) == paper_tables.T4.select("ei", condition="B3")
    assert trajectories.draw(match.ResultSet(), paper_models.QWEN_7B) is None


def test_the_mean_is_over_seeds_at_common_steps(tmp_path, other_results):
    for seed, path in ((0, ((0, 0.5), (4, 0.4), (8, 0.3))), (1, ((0, 0.7), (8, 0.1)))):
        fake_runs.run(tmp_path, "some/tiny", "B3", seed, path, settings=SHORT)
    ei, _, loss = trajectories.draw(other_results(), "tiny").axes
    mean = by_label(ei)["B3 (2 seeds)"]
    assert list(mean.get_xdata()) == [0, 8]
    assert list(mean.get_ydata()) == pytest.approx([0.6, 0.2])
    assert len(ei.lines) == 4  # two seeds, their mean, zero
    assert loss.get_title(loc="left") == "training loss (nats a token)"


def test_many_groups_are_split_by_strength_and_weight(tmp_path, other_results):
    for condition in ("B1", "B2", "B3", "B5"):
        fake_runs.run(tmp_path, "some/tiny", condition, settings=SHORT)
    for condition in ("B2", "B3"):
        fake_runs.run(
            tmp_path, "some/tiny", condition, intervention="light", settings=SHORT
        )
    for weight in (0.1, 0.3):
        settings = SHORT | {"csr_lambda": weight}
        fake_runs.run(tmp_path, "some/tiny", "B4", settings=settings)
    axes = trajectories.draw(other_results(), "tiny").axes
    titles = [axis.get_title(loc="left") for axis in axes[::3]]
    assert titles == [
        f"EI (as published), {row}" for row in ("strong", "light", "B4 by CSR's weight")
    ]
    shown = [
        {label.split(" (")[0] for label in by_label(axis) if "seed" in label}
        for axis in axes[::3]
    ]
    assert shown == [
        {"B1", "B2", "B3", "B5", "B4 λ 0.1"},
        {"B2 light", "B3 light"},
        {"B4 λ 0.1", "B4 λ 0.3"},
    ]


def test_the_smoothed_loss_is_a_mean_of_the_last_values():
    values = np.random.default_rng(0).normal(size=20).tolist()
    naive = [np.mean(values[max(0, i - 2) : i + 1]) for i in range(20)]
    assert trajectories._smooth(values, 3) == pytest.approx(naive)
