import dataclasses

import pytest

from jaxent.model import known_configs
from jaxent.runs import cost
from jaxent.runs import spec as specs

MODEL = "Qwen/Qwen2.5-Coder-7B"
CONFIG = known_configs.find_config(MODEL)


def test_flops_of_training_are_those_of_the_published_parameters():
    run = specs.RunSpec(MODEL, "B3")
    found = cost.run_cost(run, CONFIG)
    assert (found.steps, found.tokens) == (5000, 5000 * 16 * 2048)
    # 6.53e9 parameters outside embedding and head, 6 FLOPs a token and each.
    assert 6 * 6.53e9 * found.tokens < found.flops < 1.3 * 6 * 6.53e9 * found.tokens


def test_nf4_weights_take_a_bit_over_half_a_byte():
    run = specs.RunSpec(MODEL, "B3")
    wide = dataclasses.replace(run, load_in_4bit=False)
    saved = cost.run_cost(wide, CONFIG).memory - cost.run_cost(run, CONFIG).memory
    assert saved == pytest.approx(6.53e9 * (2 - cost.NF4), rel=1e-2)


def test_csr_costs_one_pass_over_its_probes_every_fifty_steps():
    plain = cost.run_cost(specs.RunSpec(MODEL, "B2"), CONFIG)
    with_csr = cost.run_cost(specs.RunSpec(MODEL, "B4"), CONFIG)
    assert 0 < with_csr.flops - plain.flops < 0.05 * plain.flops
    assert with_csr.tokens == plain.tokens


def test_a_run_that_only_measures_trains_nothing():
    found = cost.run_cost(specs.RunSpec(MODEL, "B0"), CONFIG)
    assert (found.steps, found.tokens) == (0, 0) and found.flops > 0


def test_the_rate_of_this_machine_is_a_number():
    assert 1e8 < cost.matmul_rate("float32") < 1e16


def test_all_weights_cost_their_gradients_too():
    """8 FLOPs a token and weight, head included, and five copies in float32."""
    lora = specs.RunSpec(MODEL, "B3", load_in_4bit=False)
    full = dataclasses.replace(lora, tuner="full")
    found, of_lora = cost.run_cost(full, CONFIG), cost.run_cost(lora, CONFIG)
    number, adapter = 7_615_616_512, 161_480_704
    assert found.memory - of_lora.memory == 20 * (number - adapter)
    linear, head = 6_525_288_448, 152_064 * 3584
    per_token = 2 * linear + 4 * head - 8 * adapter
    assert found.flops - of_lora.flops == pytest.approx(found.tokens * per_token)
