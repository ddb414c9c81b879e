import numpy as np
import pytest
import torch
import transformers

from jaxent.checkpoint import hf
from jaxent.measure import capture

PROBES = [
    np.random.default_rng(i).integers(0, 160, n).tolist()
    for i, n in enumerate((5, 40, 33, 7, 90))
]


@pytest.mark.parametrize("layer", [0, 2, -1])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_equals_transformers_hidden_states_without_padding(qwen, layer, pooling):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        qwen, dtype=torch.float32
    )
    with torch.no_grad():
        hidden = [
            theirs(torch.tensor([p]), output_hidden_states=True).hidden_states[layer][0]
            for p in PROBES
        ]
    expected = torch.stack(
        [h.mean(0) if pooling == "mean" else h[-1] for h in hidden]
    ).numpy()
    found = capture.capture(
        hf.load(qwen, quantize=False),
        PROBES,
        where=capture.CaptureConfig(layer, pooling),
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_all_layers_in_one_pass_are_each_layer(qwen):
    model = hf.load(qwen)
    every = capture.capture(model, PROBES, where=capture.CaptureConfig(None))
    assert every.shape == (model.config.layers + 1, len(PROBES), model.config.embed)
    for layer in range(model.config.layers + 1):
        one = capture.capture(model, PROBES, where=capture.CaptureConfig(layer))
        np.testing.assert_allclose(every[layer], one, atol=1e-5 * np.abs(one).max())


def test_before_the_final_norm_is_what_the_norm_is_given(qwen):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        qwen, dtype=torch.float32
    )
    seen = []
    theirs.model.norm.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0][0].mean(0))
    )
    with torch.no_grad():
        for probe in PROBES:
            theirs(torch.tensor([probe]))
    expected = torch.stack(seen).numpy()
    model = hf.load(qwen, quantize=False)
    found = capture.capture(
        model, PROBES, where=capture.CaptureConfig(norm=False), batch_tokens=64
    )
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    assert type(model.norm).__name__ == "Norm"  # the model itself keeps it


def test_bad_input_is_refused(qwen):
    model = hf.load(qwen, quantize=False)
    with pytest.raises(
        ValueError,
        match="probe 1 has 257 tokens: expected 1 to the model's context 256",
    ):
        capture.capture(model, [[1], [1] * 257])
    with pytest.raises(ValueError, match="'max': expected one of mean, last"):
        capture.CaptureConfig(pooling="max")
