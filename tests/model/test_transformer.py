import families
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from flax import nnx

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.model import blocks, config, dropout, known_configs, transformer
from jaxent.model import cache as caches

run = jax.jit(lambda m, *a: m.logits(m(*a)))


def rows(tokens, segments=None, positions=None):
    tokens = np.asarray(tokens, np.int32)
    segments = (
        np.ones_like(tokens) if segments is None else np.asarray(segments, np.int32)
    )
    default = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape)
    return (
        tokens,
        segments,
        default if positions is None else np.asarray(positions, np.int32),
    )


@pytest.mark.parametrize("family", families.ALL, indirect=True)
def test_logits_equal_transformers(family):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        family, dtype=torch.float32
    )
    tokens = np.random.default_rng(0).integers(0, 160, (2, 50))
    expected = theirs(torch.tensor(tokens)).logits.detach().numpy()
    ours = np.asarray(run(hf.load(family, quantize=False), *rows(tokens)))
    np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max())


def test_logits_of_a_real_model_equal_transformers(stories):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(stories)
    tokens = np.random.default_rng(0).integers(3, 512, (2, 300))
    expected = theirs(torch.tensor(tokens)).logits.detach().numpy()
    ours = np.asarray(run(hf.load(stories, quantize=False), *rows(tokens)))
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


def test_bfloat16_is_as_close_as_torchs(qwen):
    tokens = np.random.default_rng(1).integers(0, 160, (1, 40))
    model = hf.load(qwen, quantize=False)
    exact = np.asarray(run(model, *rows(tokens)))
    half = transformer.ComputeConfig(jnp.bfloat16)
    ours = np.asarray(
        jax.jit(lambda m, *a: m.logits(m(*a, compute=half)))(model, *rows(tokens))
    )
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        qwen, dtype=torch.bfloat16
    )
    theirs = theirs(torch.tensor(tokens)).logits.detach().float().numpy()
    assert np.abs(ours - exact).mean() < 1.5 * np.abs(theirs - exact).mean()


def test_packed_segments_equal_separate_rows(family):
    model = hf.load(family, quantize=False)
    rng = np.random.default_rng(2)
    parts = [rng.integers(0, 160, n) for n in (20, 13, 30)]
    segments = np.concatenate(
        [np.full(len(p), i + 1) for i, p in enumerate(parts)] + [np.zeros(7)]
    )
    positions = np.concatenate([np.arange(len(p)) for p in parts] + [np.zeros(7)])
    tokens = np.concatenate([*parts, np.zeros(7)])
    packed = np.asarray(run(model, *rows([tokens], [segments], [positions])))[0]
    for part, at in zip(parts, (0, 20, 33)):
        alone = np.asarray(run(model, *rows([part])))[0]
        np.testing.assert_allclose(
            packed[at : at + len(part)], alone, atol=1e-5 * np.abs(alone).max()
        )


def test_taps_are_transformers_hidden_states(qwen):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        qwen, dtype=torch.float32
    )
    tokens = np.random.default_rng(3).integers(0, 160, (2, 20))
    expected = theirs(torch.tensor(tokens), output_hidden_states=True).hidden_states
    final, taps = hf.load(qwen, quantize=False)(*rows(tokens), tap=lambda x: x)
    assert taps.shape == (3, 2, 20, 128)
    for ours, one in zip([*taps, final], expected):
        np.testing.assert_allclose(
            ours, one.detach().numpy(), atol=2e-5 * one.abs().max().item()
        )


def test_dropout_only_with_a_key_and_only_through_the_adapter(qwen):
    model = hf.load(qwen, quantize=False)
    lora_config = lora.LoraConfig(4, 12.0, dropout=0.3)
    adapter = lora.init_adapter(
        jax.random.key(0), lora_config, 3, blocks.linear_shapes(model.config)
    )
    args = rows(np.arange(20)[None])
    bare, plain = model(*args), model(*args, adapter)
    np.testing.assert_array_equal(bare, plain)  # B = 0
    filled = jax.tree.map(lambda x: x + 0.05, adapter)
    first, again, other = (
        model(*args, filled, dropout.token_keys(jax.random.key(k), *args[1:]))
        for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (
        np.abs(first - other).max() > 1e-3
        and np.abs(first - model(*args, filled)).max() > 1e-3
    )


def gradient_temporaries(layers: int) -> tuple[int, int]:
    """Temporary bytes of a QLoRA gradient over 128 tokens, and one layer's weights.

    The second are the float32 bytes of the layer's linear weights.
    """
    raw = {
        "model_type": "qwen2",
        "vocab_size": 256,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
    c = config.from_dict(raw)
    model = hf.abstract_model(c, dtype=jnp.float32)
    lora_config = lora.LoraConfig(8, 24.0, 0.1)
    adapter = jax.eval_shape(
        lambda k: lora.init_adapter(k, lora_config, c.layers, blocks.linear_shapes(c)),
        jax.random.key(0),
    )
    args = jax.eval_shape(lambda: rows(np.zeros((1, 128), np.int32)))

    def loss(adapter, model, args):
        keys = dropout.token_keys(jax.random.key(1), *args[1:])
        return model(*args, adapter, keys).sum()

    compiled = jax.jit(jax.grad(loss)).lower(adapter, model, args).compile()
    one_layer = 4 * sum(k * n for k, n in blocks.linear_shapes(c).values())
    return compiled.memory_analysis().temp_size_in_bytes, one_layer


def test_remat_keeps_no_dequantised_weights():
    (few, one_layer), (many, _) = gradient_temporaries(2), gradient_temporaries(8)
    stream = 128 * 512 * 4
    assert many - few < 6 * 2 * stream  # a layer more costs its input, not its weights
    assert many < 3 * one_layer


@pytest.mark.parametrize(
    ("name", "parameters", "linear", "adapter"),
    [
        ("Qwen/Qwen2.5-Coder-0.5B", 494_032_768, 357_826_560, 35_192_832),
        ("Qwen/Qwen2.5-Coder-1.5B", 1_543_714_304, 1_310_195_712, 73_859_072),
        ("Qwen/Qwen2.5-Coder-3B", 3_085_938_688, 2_774_532_096, 119_734_272),
        ("Qwen/Qwen2.5-Coder-7B", 7_615_616_512, 6_525_288_448, 161_480_704),
        ("Qwen/Qwen2.5-Coder-14B", 14_770_033_664, 13_212_057_600, 275_251_200),
        ("Qwen/Qwen2.5-Coder-32B", 32_763_876_352, 31_205_621_760, 536_870_912),
        ("mistralai/Mistral-7B-v0.3", 7_248_023_552, 6_979_321_856, 167_772_160),
        (
            "deepseek-ai/deepseek-coder-1.3b-base",
            1_346_471_936,
            1_214_251_008,
            59_965_440,
        ),
        (
            "deepseek-ai/deepseek-coder-6.7b-base",
            6_740_512_768,
            6_476_005_376,
            159_907_840,
        ),
        (
            "deepseek-ai/deepseek-coder-33b-base",
            33_342_991_360,
            32_879_673_344,
            492_666_880,
        ),
        ("codellama/CodeLlama-7b-hf", 6_738_546_688, 6_476_005_376, 159_907_840),
        ("codellama/CodeLlama-13b-hf", 13_016_028_160, 12_687_769_600, 250_347_520),
        ("codellama/CodeLlama-34b-hf", 33_743_970_304, 33_218_887_680, 435_683_328),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248, 6_979_321_856, 167_772_160),
        ("Qwen/Qwen3-0.6B", 596_049_920, 440_401_920, 40_370_176),
        ("Qwen/Qwen3-8B", 8_190_735_360, 6_945_767_424, 174_587_904),
    ],
)
def test_full_size_models(name, parameters, linear, adapter):
    c = config.from_dict(known_configs.CONFIGS[name])
    assert transformer.parameter_count(c) == parameters
    shapes = blocks.linear_shapes(c)
    assert c.layers * sum(k * n for k, n in shapes.values()) == linear
    tree = jax.eval_shape(
        lambda k: lora.init_adapter(k, lora.LoraConfig(), c.layers, shapes),
        jax.random.key(0),
    )
    assert lora.parameter_count(tree) == adapter
    model = transformer.abstract(c)
    args = jax.eval_shape(lambda: rows(np.zeros((1, 2048), np.int32)))
    assert jax.eval_shape(
        lambda m, a, x: m.logits(m(*x, a)), model, tree, args
    ).shape == (1, 2048, c.vocab)
    assert len(jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))) == len(
        hf.tensor_table(c)
    )  # every parameter has a row


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "mistral"])
def test_decoding_column_by_column_equals_one_pass(family):
    """Left-padded rows of two lengths, and the keys that prefill returns."""
    model = transformer.Transformer(config.from_dict(tiny(family)), nnx.Rngs(0))
    ids = np.random.default_rng(4).integers(0, 40, (2, 9))
    starts = np.array([0, 3])
    shape = (3, 2, 2, 9, 16)
    cache = caches.Cache(jnp.zeros(shape), jnp.zeros(shape))
    step = jax.jit(lambda m, *a: m.decode_step(*a))
    columns = []
    for column in range(9):
        hidden, cache = step(model, ids[:, column], starts, column, cache)
        columns.append(hidden)
    for row, start in enumerate(starts):
        expected, keys, values = model.prefill(*rows(ids[row : row + 1, start:]))
        decoded = np.stack([hidden[row] for hidden in columns[start:]])
        np.testing.assert_allclose(decoded, expected[0], atol=1e-5)
        stored = np.asarray(cache.k)[:, row, :, start:].swapaxes(1, 2)
        np.testing.assert_allclose(stored, keys[:, 0], atol=1e-5)
        stored = np.asarray(cache.v)[:, row, :, start:].swapaxes(1, 2)
        np.testing.assert_allclose(stored, values[:, 0], atol=1e-5)


def tiny(family: str) -> dict:
    """A configuration whose window, in Mistral, is shorter than the rows."""
    raw = {
        "model_type": family,
        "vocab_size": 40,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "sliding_window": 4,
    }
    return raw


def test_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="expected one of blocks, xla, cudnn, splash"):
        transformer.ComputeConfig(kernel="flash")
