"""Short runs give what they gave when tests/experiments/golden.json was written.

The file names its jax, numpy and Python. On that machine results were equal bit for
bit; the tolerances leave room for processors whose vectors have other widths.
"""

import json

import golden_runs
import pytest

GOLDEN = json.loads(golden_runs.FILE.read_text(encoding="utf-8"))
pytestmark = pytest.mark.slow
# One flip more or less is what a last bit can do to a count.
FLIPS = 3


def assert_measured(record, expected):
    if expected["cvo"] is None:
        assert record["cvo"] is None
    else:
        assert record["cvo"] == pytest.approx(expected["cvo"], abs=2e-3)
    for name in ("sei", "v_purity"):
        assert record[name] == pytest.approx(expected[name], abs=2e-3), name
    assert record["own_flips"] == pytest.approx(expected["own_flips"], abs=FLIPS)
    assert record["ei"] == pytest.approx(expected["ei"], abs=0.03)
    assert record["accuracy"] == pytest.approx(expected["accuracy"], abs=0.01)
    of_all = expected["all_probes"]["ei"]
    assert record["all_probes"]["ei"] == pytest.approx(of_all, abs=0.03)


@pytest.mark.parametrize("condition", ["B3", "B4"])
def test_a_run(condition, tmp_path):
    golden_runs.finetune(condition, tmp_path)
    found, golden = golden_runs.of_run(tmp_path), GOLDEN[condition]
    assert len(found["train"]) == len(golden["train"])
    assert len(found["measure"]) == len(golden["measure"]) == 3
    for step, expected in zip(found["train"], golden["train"]):
        assert step["tokens"] == expected["tokens"]
        for name in ("loss", "grad_norm"):
            assert step[name] == pytest.approx(expected[name], rel=1e-4), name
        assert ("csr" in step) == ("csr" in expected)
        if step["step"] > 3 and "csr" in expected:
            assert step["csr"] == pytest.approx(expected["csr"], rel=2e-2)
    for record, expected in zip(found["measure"], golden["measure"]):
        assert record["step"] == expected["step"]
        assert_measured(record, expected)
        drift = pytest.approx(expected["drift"], rel=2e-2, abs=1e-9)
        assert record["drift"] == drift


def test_layers_and_crosstalk_of_an_adapter(tmp_path):
    adapter = golden_runs.finetune("B3", tmp_path / "b3")
    layers = golden_runs.of_layers(adapter, tmp_path / "measure")
    assert [r["layer"] for r in layers] == [r["layer"] for r in GOLDEN["layers"]]
    for record, expected in zip(layers, GOLDEN["layers"]):
        assert_measured(record, expected)
    matrix = golden_runs.of_crosstalk(adapter, tmp_path / "crosstalk")
    for row, expected in zip(matrix, GOLDEN["crosstalk"]):
        assert row == pytest.approx(expected, abs=2e-3)
