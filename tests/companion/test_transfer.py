import numpy as np
import pytest

from jaxent.companion import transfer
from jaxent.data import embedded
from jaxent.runs import base_model, validate
from jaxent.runs import spec as specs


def test_noise_is_taken_out_of_the_cosine():
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(2, 40_000))
    a, b = shared, 0.6 * shared + 0.8 * own  # true cosine .6
    noisy = lambda x: [{"b": x + rng.normal(size=x.shape)} for _ in range(2)]
    found = [transfer.aligned(noisy(a), noisy(b)) for _ in range(3)]
    assert np.allclose(
        found, [[0.4, 0.6]] * 3, atol=0.03
    )  # each mean of two halves has reliability 2/3
    halves = noisy(a)
    assert transfer.aligned(halves, halves) == (pytest.approx(0.5, abs=0.03), 1.0)
    opposite = [{"b": a}, {"b": own - a}]
    assert transfer.aligned(halves, opposite)[1] is None


def test_both_axes_count_the_same():
    axes = {
        "a": transfer.Axes(0.1, [0.2], [0.2, 0.4], [0.1, 0.1]),
        "b": transfer.Axes(0.1, [0.2], [0.1, 0.1], [0.0, 0.0]),
        "c": transfer.Axes(0.4, [0.2], [0.3, 0.3], [0.1, 0.1]),
    }
    found = transfer.scores(axes, ("a", "b", "c"))
    assert found["crosstalk"] == {"a": -0.1, "b": -0.1, "c": -0.4} and found[
        "alignment"
    ]["a"] == pytest.approx(0.3)
    root = 1 / np.sqrt(2)
    assert found["two axes"] == pytest.approx({"a": 2 * root, "b": -root, "c": -root})


def test_a_predictor_is_judged_by_pairs_and_by_those_that_seeds_agree_on():
    worse = {"a": [0.1, 0.1], "b": [0.2, 0.3], "c": [0.15, 0.5]}
    right = transfer.judged({"a": 3, "b": 2, "c": 1}, worse)
    assert right == {
        "right": 3,
        "pairs": 3,
        "clear_right": 2,
        "clear_pairs": 2,
        "rho": pytest.approx(1),
        "p": pytest.approx(1 / 3),
    }
    wrong = transfer.judged({"a": 1, "b": 2, "c": 3}, worse)
    assert (wrong["right"], wrong["clear_right"], wrong["rho"]) == (
        0,
        0,
        pytest.approx(-1),
    )
    assert transfer.judged({"a": 1, "b": 1}, worse) == {
        "right": 0,
        "pairs": 1,
        "clear_right": 0,
        "clear_pairs": 1,
        "rho": None,
        "p": None,
    }


@pytest.mark.slow
def test_axes_of_the_embedded_model():
    run = specs.RunSpec(
        specs.TINY_MODEL,
        **specs.PRESETS["tiny"]
        | {"max_length": 64, "rank": 2, "examples": 8, "max_train_samples": 300},
    )
    checked = validate.validate_run(run)
    base = base_model.BaseModel(checked)
    rows = transfer.held_out("code", base.tokenizer, 64, "embedded", 300, 12)
    assert {r.tokens.shape for r in rows} == {(1, 64)} and sum(
        float(r.weights.sum()) for r in rows
    ) > 300
    corpus = transfer.corpora.load(
        ("code", "math"), base.tokenizer, 64, "embedded", 300
    )
    found = transfer.measure(
        transfer.Bench(base, run, corpus, 64, rows), "code", ("math",), (0,), 2, 3
    )
    assert (
        list(found) == ["math", "code"]
        and found["math"].ct > 0
        and np.isnan(found["code"].ct)
    )
    assert (
        found["code"].alignment == [1.0]
        and found["code"].cosine[0] > found["math"].cosine[0]
    )
    assert found["code"].drop[0] > found["math"].drop[0] and found["code"].drop[0] > 0
    assert set(embedded.split("code")[1]).isdisjoint(embedded.split("code")[0])
