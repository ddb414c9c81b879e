import dataclasses

import jax
import pytest

from jaxent.model import blocks, known_configs, transformer
from jaxent.runs import memory_choice
from jaxent.runs import spec as specs

NAME = "Qwen/Qwen2.5-Coder-7B"
CONFIG = known_configs.require_config(NAME)
RUN = specs.RunSpec(NAME, dtype="bfloat16")
GB = 10**9


def test_the_memory_of_this_machine_is_plausible():
    assert GB < memory_choice.device_memory() * jax.local_device_count() < 10**14


def test_kept_bytes_are_those_of_the_named_activations():
    """Counted in the jaxpr: what a step without remat saves for the gradient."""
    raw = specs.RunSpec(specs.TINY_MODEL, lora_r=4, max_length=64)
    config = known_configs.require_config("Qwen/Qwen3-0.6B")
    shapes = blocks.linear_shapes(config)
    kept = memory_choice.kept_bytes(
        dataclasses.replace(raw, dtype="float32"), config, tokens=10
    )
    per_token = 2 * config.embed  # the layer's input and the residual in its middle
    per_token += sum(shapes[m][1] for m in ("q_proj", "k_proj", "v_proj"))
    per_token += config.heads * config.head_dim + config.heads  # out and its norm
    per_token += 2 * config.mlp + 7 * 4
    assert kept == 4 * 10 * config.layers * per_token


@pytest.mark.parametrize(
    ("memory", "remat"), [(8 * GB, "full"), (16 * GB, "full"), (80 * GB, "none")]
)
def test_activations_are_kept_where_they_fit(memory, remat):
    assert memory_choice.choose(RUN, CONFIG, 2048, memory=memory).remat == remat


def test_more_seeds_in_a_step_keep_less():
    def remat(seeds):
        return memory_choice.choose(RUN, CONFIG, 2048, seeds, memory=50 * GB).remat

    assert (remat(1), remat(8)) == ("none", "full")


def test_flags_decide_before_memory_does():
    run = dataclasses.replace(RUN, remat="none", decode_base="once")
    choice = memory_choice.choose(run, CONFIG, 2048, memory=1)
    assert (choice.remat, choice.decoded) == ("none", True)
    run = dataclasses.replace(RUN, remat="full", decode_base="every_use")
    choice = memory_choice.choose(run, CONFIG, 2048, memory=10**15)
    assert (choice.remat, choice.decoded) == ("full", False)


def test_the_base_is_decoded_once_on_a_cpu_with_room():
    assert memory_choice.choose(RUN, CONFIG, 2048, memory=10**12).decoded
    assert not memory_choice.choose(RUN, CONFIG, 2048, memory=60 * GB).decoded
    assert not memory_choice.choose(RUN, CONFIG, 2048, devices=8, memory=10**12).decoded


def test_rows_of_several_lengths_are_for_one_run_on_one_device():
    def lengths(seeds=1, devices=1, **changes):
        run = dataclasses.replace(RUN, **changes)
        return memory_choice.choose(run, CONFIG, 4096, seeds, devices, GB).lengths

    assert lengths()[-2:] == (2048, 4096)
    assert lengths(seeds=2) is lengths(devices=2) is lengths(packing=False) is None
    assert lengths(micro_batch_size=2) is None


def test_small_models_compile_one_length():
    config = known_configs.require_config("Qwen/Qwen3-0.6B")
    small = dataclasses.replace(config, layers=1, vocab=100, embed=64, mlp=128)
    assert transformer.parameter_count(small) < 16e6
    assert memory_choice.choose(RUN, small, 512, memory=GB).lengths is None
    assert memory_choice.choose(RUN, config, 512, memory=GB).lengths is not None


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="--remat 'half': expected one of auto, full"):
        specs.RunSpec(NAME, remat="half")
    with pytest.raises(ValueError, match="--decode_base 'no': expected one of auto"):
        specs.RunSpec(NAME, decode_base="no")
