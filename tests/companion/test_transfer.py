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

    def noisy(x):
        return [{"b": x + rng.normal(size=x.shape)} for _ in range(2)]

    found = [transfer.gradient_alignment(noisy(a), noisy(b)) for _ in range(3)]
    assert np.allclose(
        found, [[0.4, 0.6]] * 3, atol=0.03
    )  # each mean of two halves has reliability 2/3
    halves = noisy(a)
    assert transfer.gradient_alignment(halves, halves) == (
        pytest.approx(0.5, abs=0.03),
        1.0,
    )
    opposite = [{"b": a}, {"b": own - a}]
    assert transfer.gradient_alignment(halves, opposite)[1] is None


@pytest.mark.slow
def test_axes_of_the_embedded_model():
    run = specs.RunSpec(
        specs.TINY_MODEL,
        **specs.PRESETS["tiny"]
        | {"max_length": 64, "lora_r": 2, "batch_size": 8, "max_train_samples": 300},
    )
    checked = validate.validate_run(run)
    base = base_model.BaseModel(checked)
    scored = transfer.make_batches("code", base.tokenizer, 64, "embedded", 300, 12)
    rows = scored["code"]
    assert {r.tokens.shape for r in rows} == {(1, 64)} and sum(
        float(r.weights.sum()) for r in rows
    ) > 300
    corpus = transfer.corpora.load_corpus(
        ("code", "math"), base.tokenizer, 64, "embedded", 300
    )
    found = transfer.measure_axes(
        transfer.Bench(base, run, corpus, 64, scored), "code", ("math",), (0,), 2, 3
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
