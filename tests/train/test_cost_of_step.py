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
from jaxent.data import batches, corpora, mix, tokens
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
    (512, "B1"): 1.04,
    (512, "B2"): 1.04,
    (512, "B3"): 1.04,
    (512, "B5"): 1.055,
    (512, "B6"): 1.04,
    (2048, "B1"): 1.04,
    (2048, "B2"): 1.04,
    (2048, "B3"): 1.04,
    (2048, "B5"): 1.055,
    (2048, "B6"): 1.04,
}
"""Tokens of rows over tokens of examples, of 20 steps on the embedded texts."""
# By remat and tokens of the step's one row: MB, and FLOPs over those needed. Attention
# in blocks counts as one block a loop, so that FLOPs are those of all other matmuls.
TEMPORARIES = {
    ("full", 128): 17.5,
    ("full", 512): 43.5,
    ("none", 128): 20.2,
    ("none", 512): 54.0,
}
FLOPS_OVER_NEEDED = {
    ("full", 128): 1.33,
    ("full", 512): 1.22,
    ("none", 128): 1.05,
    ("none", 512): 0.96,
}
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
        examples, counted = texts.draw(mixture, 0, step)
        groups = batches.pack_lengths(examples, batches.row_lengths(length), counted)
        computed += sum(group.tokens.size for group in groups)
        real += sum(map(len, examples))
    assert 1 <= computed / real <= COMPUTED_OVER_REAL[length, condition]


@pytest.fixture(scope="module", params=TEMPORARIES, ids=str)
def compiled(request):
    """A step with so much remat, of one row of so many tokens."""
    (remat, length), config = request.param, steps.TrainConfig()
    compute = transformer.ComputeConfig(remat=remat, kernel="blocks")
    model = configs.from_dict(SMALL)
    inputs = step_programs.abstract_inputs(model, length, 8, config)
    lowered = steps.jit_train_step(config, compute).lower(*inputs, None)
    return request.param, lowered.compile()


def test_temporaries_of_a_step_are_bounded(compiled):
    case, program = compiled
    needed = program.memory_analysis().temp_size_in_bytes / 1e6
    assert needed <= TEMPORARIES[case]


def test_flops_of_a_step_are_few_beyond_those_needed(compiled):
    """With remat, layers are run again; without, only thin arrays are."""
    case, program = compiled
    computed = step_programs.dot_flops(program.as_text(), loops=1)
    model, adapter = configs.from_dict(SMALL), lora.LoraConfig(8)
    needed = flops.training_flops(model, adapter, [case[1]])
    assert 0.9 <= computed / needed <= FLOPS_OVER_NEEDED[case]


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
    steps.jit_train_step.cache_clear()
    ours = training.Training(hf.load(run.model), run, COMPUTE, examples_at)
    with pairs.count_compilations() as first:
        for step in range(4):
            ours.train(step)
    with pairs.count_compilations() as later:
        for step in range(4):
            ours.train(step)
    step = steps.jit_train_step(ours.plan.train_config, ours.plan.compute)
    assert step._cache_size() == PROGRAMS
    assert first and not later
