"""What a training step costs on any machine: tokens, programs, memory and FLOPs.

Each bound is the value of 2026-11-28, a little rounded up. A change that makes one of
them larger makes training slower; one that makes it smaller lowers the bound here.
"""

import jax
import numpy as np
import pytest
import step_programs
from benchmarks import flops, pairs, training

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import corpora, mix, tokens
from jaxent.model import config as configs
from jaxent.model import transformer
from jaxent.runs import spec as specs
from jaxent.train import step as steps

COMPUTE = transformer.ComputeConfig()
SMALL = {
    "model_type": "qwen2",
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
COMPUTED_OVER_REAL = {
    (512, "B1"): 1.12,
    (512, "B2"): 1.13,
    (512, "B3"): 1.16,
    (512, "B5"): 1.25,
    (512, "B6"): 1.12,
    (2048, "B1"): 1.30,
    (2048, "B2"): 1.29,
    (2048, "B3"): 1.28,
    (2048, "B5"): 1.67,
    (2048, "B6"): 1.27,
}
"""Tokens of used rows over tokens of examples, of 20 steps on the embedded texts."""
TEMPORARIES = {128: 22.3, 512: 70.5}  # MB of a step of one row of so many tokens
FLOPS_OVER_NEEDED = {128: 1.33, 512: 1.45}
PROGRAMS = 1  # steps that are compiled, whatever rows the batches use


@pytest.fixture(scope="module", params=[512, 2048])
def corpus(request, tmp_path_factory):
    tokenizer = tokens.load_tokenizer(specs.TINY_MODEL)
    cache = tmp_path_factory.mktemp("cache")
    return request.param, corpora.load_corpus(
        mix.DOMAINS, tokenizer, request.param, corpora.EMBEDDED, 300, cache
    )


@pytest.mark.parametrize("condition", ["B1", "B2", "B3", "B5", "B6"])
def test_few_tokens_are_computed_that_no_example_has(corpus, condition):
    length, texts = corpus
    mixture = mix.condition_mixture(condition)
    computed = real = 0
    for step in range(20):
        batch, rows = texts.batch(mixture, 0, step, length)
        computed += rows * batch.tokens.shape[1]
        real += np.count_nonzero(batch.segments)
    assert 1 <= computed / real <= COMPUTED_OVER_REAL[length, condition]


@pytest.fixture(scope="module", params=[128, 512])
def compiled(request):
    """A step of one row of so many tokens."""
    length, config = request.param, steps.TrainConfig()
    model = configs.from_dict(SMALL)
    inputs = step_programs.abstract_inputs(model, length, 8, config)
    lowered = steps.jit_train_step(config, COMPUTE).lower(*inputs, None)
    return length, lowered.compile()


def test_temporaries_of_a_step_are_bounded(compiled):
    length, program = compiled
    needed = program.memory_analysis().temp_size_in_bytes / 1e6
    assert needed <= TEMPORARIES[length]


def test_flops_of_a_step_are_few_beyond_those_needed(compiled):
    """Recomputed layers and masked halves of attention are what is beyond."""
    length, program = compiled
    computed = step_programs.dot_flops(program.as_text(), loops=1)
    model, adapter = configs.from_dict(SMALL), lora.LoraConfig(8)
    needed = flops.training_flops(model, adapter, [length])
    assert 1 <= computed / needed <= FLOPS_OVER_NEEDED[length]


def test_matmuls_of_loops_count_as_often_as_they_run():
    def run(x, count):
        def body(x, _):
            return x @ x, None

        x, _ = jax.lax.scan(body, x, length=5)
        return jax.lax.fori_loop(0, count, lambda _, x: x @ x, x)

    x = np.ones((16, 16), np.float32)
    text = jax.jit(run).lower(x, np.int32(3)).compile().as_text()
    assert step_programs.dot_flops(text, loops=3) == (5 + 3) * 2 * 16**3


def test_batches_of_any_number_of_rows_share_a_program():
    rng = np.random.default_rng(0)
    examples = [rng.integers(1, 160, n).astype(np.int32) for n in (60, 50, 40, 30)]

    def examples_at(step):
        return examples[: step + 1]

    run = specs.RunSpec(specs.TINY_MODEL, max_length=64, batch_size=4, lora_r=4)
    ours = training.Training(hf.load(run.model), run, COMPUTE, examples_at)
    with pairs.count_compilations() as first:
        for step in range(4):
            ours.train(step)
    with pairs.count_compilations() as later:
        for step in range(4):
            ours.train(step)
    assert ours.step._cache_size() == PROGRAMS
    assert first and not later
