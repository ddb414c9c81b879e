import re

import jax
import pytest

from jaxent.checkpoint import hf
from jaxent.decode import plan
from jaxent.distributed import axes
from jaxent.model import known_configs
from jaxent.runs import full_memory, validate
from jaxent.runs import spec as specs
from jaxent.train import loop
from jaxent.train import step as steps


def test_what_cannot_fit_is_refused(monkeypatch):
    config = known_configs.require_config("Qwen/Qwen2.5-Coder-7B")
    monkeypatch.setattr(plan, "free_bytes", lambda: 78 * 2**30)
    # 7,615,616,512 parameters of 22 bytes.
    with pytest.raises(ValueError, match=r"needs 156\.0 GiB on each of 1 devices.*78"):
        full_memory.check_memory(config, None)
    full_memory.check_memory(config, axes.parse_mesh("fsdp:8"))
    full_memory.check_memory(known_configs.require_config("Qwen/Qwen3-0.6B"), None)


def test_a_run_is_refused_before_its_model_is_loaded(monkeypatch):
    run = specs.RunSpec(
        specs.TINY_MODEL, "B1", tuner="full", load_in_4bit=False, data_root="embedded"
    )
    checked = validate.validate_run(run)
    validate.choose_run_mesh(checked, "none")
    monkeypatch.setattr(plan, "free_bytes", lambda: 1 << 20)
    with pytest.raises(ValueError, match=re.escape("expected a smaller model")):
        validate.choose_run_mesh(checked, "none")


def test_the_bytes_are_those_of_base_and_state(qwen):
    """Weights, moments, two gradients as large as the weights, and the base."""
    model = hf.load(qwen, quantize=False, dtype=jax.numpy.bfloat16)
    plan_ = loop.LoopConfig(
        steps.TrainConfig(), None, validate.transformer.ComputeConfig()
    )
    state = loop.initial_state(model, plan_, seed=0)
    held = sum(x.nbytes for x in jax.tree.leaves((model, state)))
    held += 2 * sum(x.nbytes for x in jax.tree.leaves(state.adapter))
    number = validate.transformer.parameter_count(model.config)
    assert held == pytest.approx(full_memory.PARAMETER_BYTES * number, abs=64)
