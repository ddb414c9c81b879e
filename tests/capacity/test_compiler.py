"""What the compilers make of the programs; libtpu needs no TPU."""

import dataclasses

import planned
import pytest

from jaxent.capacity import (
    compiler,
    memory,
)
from jaxent.runs import spec as specs


@pytest.fixture(scope="module")
def libtpu():
    pytest.importorskip("libtpu")


def test_a_refusal_is_a_row():
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required "
        "(19.01G) exceeds available HBM (15.75G)."
    )
    one = planned.job(planned.SEVEN, "v5e:1x1")
    found = compiler._refused(
        compiler.job_site(one, False).train(), one, {"weights": 1}, message, "compiled"
    )
    assert (
        found.total == 19.01 * 2**30
        and "19.01G" in found.refused
        and not memory.fits_memory(found, one)
    )


@pytest.mark.parametrize("program", ["train", "measure", "decode"])
def test_a_v5e_compiles_every_program(libtpu, program):
    """Two layers of 7B's shapes, splash attention included.

    Arguments are what the formulas say.
    """
    one = planned.job(planned.SEVEN, "v5e:1x1", layers=2)
    found = planned.compiled(one, program)
    by_formula = memory.analyse_program(
        getattr(compiler.job_site(one, False), program)(), one
    )
    assert (
        found.refused is None
        and memory.fits_memory(found, one)
        and sum(found.received.values()) == 0
    )
    assert {k: v for k, v in found.parts.items() if k != "temporaries"} == {
        k: v for k, v in by_formula.parts.items() if k != "temporaries"
    }
    assert found.total == pytest.approx(by_formula.total, rel=0.3)
    assert (
        program != "decode" or found.parts["temporaries"] < found.parts["cache"]
    )  # no second cache


def test_a_split_cache_stays_split(libtpu):
    """Decoding on a slice: no chip gathers the cache."""
    one = planned.job(planned.SEVEN, "v5e:2x2", "data:2,tensor:2", layers=2)
    found = planned.compiled(one, "decode")
    assert sum(found.received.values()) < found.parts["cache"] / 10


def without(cost):
    return {k: v for k, v in cost.parts.items() if k != "temporaries"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("topology", "mesh"), [("h100:1", "none"), ("h200:8", "data:2,fsdp:2,tensor:2")]
)
def test_gpus_compile_every_program(topology, mesh):
    """Where JAX's CUDA plugin is installed.

    Arguments are what the formulas say, and a split cache stays split.
    """
    one = planned.job(planned.SEVEN, topology, mesh, layers=2)
    if not compiler.is_available(one.topology):
        pytest.skip("JAX's CUDA plugin is not installed")
    for program in ("train", "measure", "decode"):
        found, by_formula = (
            planned.compiled(one, program),
            memory.analyse_program(
                getattr(compiler.job_site(one, False), program)(), one
            ),
        )
        assert without(found) == without(by_formula) and memory.fits_memory(
            found, one
        ), program
        assert (
            program != "decode"
            or found.received["all-gather"]
            < found.parts["weights"] + found.parts["adapter"]
        )


@pytest.mark.slow
def test_codes_travel_not_weights(libtpu):
    """A v5e slice under fsdp and tensor.

    What is gathered is what the formula says of codes, scales, adapter and head.
    """
    one = planned.job(planned.SEVEN, "v5e:2x2", "fsdp:2,tensor:2", layers=2)
    found, by_formula = (
        planned.compiled(one, "train"),
        memory.analyse_program(compiler.job_site(one, False).train(), one),
    )
    assert found.received["all-gather"] == pytest.approx(
        by_formula.received["all-gather"], rel=0.25
    )


def test_no_room_is_an_answer(libtpu):
    one = dataclasses.replace(
        planned.job(planned.SEVEN, "v5e:1x1"),
        run=specs.RunSpec(planned.SEVEN, load_in_4bit=False),
    )
    found = planned.compiled(one, "train")
    assert (
        found.refused
        and found.total > 15.75 * 2**30
        and not memory.fits_memory(found, one)
    )


@pytest.mark.parametrize(
    ("version", "effort", "expected"),
    [
        ((0, 10, 2), -1.0, {"exec_time_optimization_effort": -1.0}),
        ((0, 12, 0), -1.0, {"optimization_level": "O0"}),
        ((0, 12, 0), 0.0, {}),
        ((0, 12, 0), 1.0, {"optimization_level": "O3"}),
    ],
)
def test_effort_has_each_jax_own_option(monkeypatch, version, effort, expected):
    monkeypatch.setattr(compiler.jax, "__version_info__", version)
    assert compiler.effort_options(effort) == expected
