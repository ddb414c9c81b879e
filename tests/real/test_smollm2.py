"""A real language model, SmolLM2-135M-Instruct, beside transformers and PEFT."""

import check_equivalence
import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import torch_reference

from jaxent.arrays import lora
from jaxent.checkpoint import hf, safetensors_folder
from jaxent.checkpoint import peft as adapters
from jaxent.data import tokens
from jaxent.decode import loop
from jaxent.distributed import axes
from jaxent.measure import capture
from jaxent.model import blocks
from jaxent.train import step as steps

pytestmark = pytest.mark.real

TEXTS = (
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "The capital of France is Paris, and the capital of Italy is",
)


@pytest.fixture(scope="module")
def ids(smollm2) -> list[list[int]]:
    """The texts, cut to one length."""
    encoded = tokens.load_tokenizer(str(smollm2)).encode(list(TEXTS))
    shortest = min(map(len, encoded))
    return [row[:shortest] for row in encoded]


@pytest.fixture(scope="module")
def ours(smollm2):
    return hf.load(str(smollm2), quantize=False, dtype=jnp.float32)


@pytest.fixture(scope="module")
def theirs(smollm2):
    return torch_reference.load_dense(str(smollm2))


def test_it_is_loaded_unchanged(smollm2, ours):
    folder = safetensors_folder.open_folder(smollm2)
    table = hf.tensor_table(ours.config)
    names = [name for row in table for name in hf.tensor_names(row, ours.config)]
    assert sorted(names) == sorted(folder.entries)
    for row in table:
        param = hf._parameter(ours, row.path).get_value()
        for layer, name in enumerate(hf.tensor_names(row, ours.config)):
            one = np.asarray(param[layer] if row.stacked else param)
            stored = folder.read(name).astype(np.float32)
            np.testing.assert_array_equal(one.T if row.linear else one, stored, name)


def test_logits_and_hidden_states_equal_transformers(ours, theirs, ids):
    with torch.no_grad():
        expected = theirs(torch.tensor(ids), output_hidden_states=True)

    @jax.jit
    def run(model, ids):
        positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        last, taps = model(ids, jnp.ones_like(ids), positions, tap=lambda x: x)
        return model.logits(last), [*taps, last]

    logits, hidden = run(ours, jnp.array(ids))
    assert len(hidden) == len(expected.hidden_states) == 31
    for layer, (x, y) in enumerate(zip(hidden, expected.hidden_states)):
        scale = y.abs().max().item()
        np.testing.assert_allclose(x, y, atol=1e-4 * scale, err_msg=f"layer {layer}")
    scale = expected.logits.abs().max().item()
    np.testing.assert_allclose(logits, expected.logits, atol=1e-4 * scale)


def test_captured_activations_are_means_of_hidden_states(ours, theirs, ids):
    x = capture.capture(ours, [ids[0], ids[1][:7]], where=capture.CaptureConfig(17))
    for row, text in zip(x, (ids[0], ids[1][:7])):
        with torch.no_grad():
            hidden = theirs(torch.tensor([text]), output_hidden_states=True)
        expected = hidden.hidden_states[17][0].mean(0)
        scale = expected.abs().max().item()
        np.testing.assert_allclose(row, expected, atol=1e-4 * scale)


@pytest.mark.slow
def test_two_hundred_greedy_tokens_equal_transformers(ours, theirs, ids):
    found = loop.complete(loop.Runner(ours), ids, loop.Request(100))
    assert found == [torch_reference.greedy(theirs, prompt, 100) for prompt in ids]


def test_an_adapter_of_peft_comes_in(smollm2, ours, ids, tmp_path):
    config = peft.LoraConfig(
        r=4,
        lora_alpha=12,
        target_modules=["q_proj", "down_proj"],
        task_type="CAUSAL_LM",
    )
    config.init_lora_weights = False  # B is random: the adapter changes the logits
    torch.manual_seed(0)
    wrapped = peft.get_peft_model(torch_reference.load_dense(str(smollm2)), config)
    wrapped.eval().save_pretrained(tmp_path)
    expected = torch_reference.logits(wrapped, ids)
    adapter = adapters.load_adapter(str(tmp_path), ours.config)
    actual = check_equivalence.logits(ours, ids, adapter)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=1e-4 * scale)
    bare = check_equivalence.logits(ours, ids)
    assert np.abs(actual - bare).max() > 0.1 * scale


def test_it_runs_alike_on_eight_devices(smollm2, ours, ids):
    """Rows over two devices, weights over four."""
    mesh = axes.parse_mesh("data:2,fsdp:4")
    split = hf.load(str(smollm2), quantize=False, dtype=jnp.float32, mesh=mesh)
    x = capture.capture(ours, ids)
    compute = capture.transformer.ComputeConfig(mesh=mesh)
    np.testing.assert_allclose(
        capture.capture(split, ids, compute=compute), x, atol=1e-4 * np.abs(x).max()
    )


@pytest.mark.slow
def test_an_nf4_model_and_twenty_qlora_steps_equal_peft_and_bitsandbytes(smollm2):
    """Our adapter goes out to PEFT; logits, gradient, losses and adapter agree."""
    tokenizer = tokens.load_tokenizer(str(smollm2))
    rows = tokenizer.encode([f"{TEXTS[0]} fibonacci(n - {i})" for i in range(20)])
    examples = [np.array(row[:16], np.int32) for row in rows]
    lora_config = lora.LoraConfig(4, 12.0, 0.0)
    train_config = steps.TrainConfig(steps=20, learning_rate=1e-3, warmup_ratio=0.1)
    checks = check_equivalence.check_qlora(
        str(smollm2), examples, lora_config, train_config
    )
    assert len(checks) == 4
    for check in checks:
        assert check.passed, str(check)


def test_its_shapes_are_those_of_the_config(ours):
    assert blocks.linear_shapes(ours.config)["k_proj"] == (576, 192)
    assert ours.config.layers == 30 and ours.lm_head is None
