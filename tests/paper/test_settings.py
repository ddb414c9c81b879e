import dataclasses

import pytest

from jaxent.arrays import lora
from jaxent.data import probes
from jaxent.paper import quotes, settings
from jaxent.runs import spec as specs


def test_a_run_has_the_papers_settings_unless_told_otherwise():
    run = dataclasses.asdict(specs.RunSpec("m"))
    assert {name: run[name] for name in settings.STRONG} == dict(settings.STRONG)
    assert {name: run[name] for name in settings.CSR} == dict(settings.CSR)
    light = dataclasses.asdict(specs.RunSpec("m", **specs.INTERVENTIONS["light"]))
    assert {name: light[name] for name in settings.LIGHT} == dict(settings.LIGHT)
    assert specs.RunSpec("m", "B4").csr_lambda == settings.CSR_LAMBDA


def test_the_numbers_of_section_2_2():
    strong, light = settings.STRONG, settings.LIGHT
    assert (strong["lora_r"], strong["lora_alpha"]) == (64, 128.0)
    assert (light["lora_r"], light["lora_alpha"]) == (16, 32.0)
    assert (strong["max_steps"], light["max_steps"]) == (5000, 2000)
    assert (strong["batch_size"], strong["learning_rate"]) == (16, 1e-4)
    with pytest.raises(TypeError):
        strong["lora_r"] = 8


def test_layers_are_those_that_adapters_act_on():
    assert settings.LINEAR_LAYERS == lora.MODULES
    assert settings.ATTENTION_LAYERS == lora.ATTENTION


def test_settings_that_the_text_quotes():
    for name, value in (
        ("ridge_alpha", settings.MEASUREMENT["alpha"]),
        ("measure_steps", settings.MEASURE_STEPS),
        ("csr_every", settings.CSR["csr_every"]),
    ):
        assert quotes.find_quote(name).value == value


@pytest.mark.parametrize("name", settings.PROBES)
def test_numbers_of_probes_are_those_of_the_sets(name):
    assert len(probes.load_probes(name).probes) == settings.PROBES[name]
