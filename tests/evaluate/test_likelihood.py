"""Likelihoods of canonical solutions: each problem compared with transformers."""

import math
import pathlib

import byte_tokenizers
import jax.numpy as jnp
import numpy as np
import peft as torch_peft
import pytest
import torch
import transformers
from decode import helpers
from flax import nnx
from tokenizers import normalizers

from jaxent.checkpoint import hf, peft
from jaxent.data import tokens
from jaxent.decode import loop
from jaxent.distributed import axes
from jaxent.evaluate import benchmarks, likelihood, prompts
from jaxent.model import config, convert, sharding, transformer

SMALL = str(pathlib.Path(benchmarks.EMBEDDED).parents[1] / "checkpoints" / "tiny-small")
LONG = 10_000
EMBEDDED = benchmarks.load_problems(benchmarks.EMBEDDED)
RAW = {
    "model_type": "qwen2",
    "vocab_size": 160,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}


def asked(folder, template=None) -> prompts.Prompts:
    tokenizer = tokens.load_tokenizer(folder)
    return prompts.Prompts(benchmarks.HUMANEVAL, tokenizer, template)


def problem(prompt, canonical, task="A/0") -> benchmarks.Problem:
    return benchmarks.Problem(task, prompt, "f", canonical)


def of(*items) -> benchmarks.Problems:
    return benchmarks.Problems(items, b"", "unknown")


def torch_nats(model, encoded) -> list[float]:
    """Each solution's -log p by transformers alone, without packing or padding."""
    nats = []
    for one in encoded:
        ids = torch.tensor([one.ids])
        with torch.no_grad():
            logits = model(ids).logits[0].double()
        behind = torch.log_softmax(logits, -1)[:-1]
        of_token = -behind.gather(1, ids[0, 1:, None])[:, 0]
        nats.append(float(of_token[len(one.prompt) - 1 :].sum()))
    return nats


def torch_model(folder):
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    )
    return loaded.eval()


def encode(folder, problems=EMBEDDED):
    encoded, left_out = likelihood.encode_solutions(asked(folder), problems, LONG)
    assert not left_out
    return encoded


@pytest.fixture(scope="module")
def small():
    return hf.load(SMALL, False), encode(SMALL)


def test_every_problem_equals_transformers(small):
    model, encoded = small
    found = likelihood.solution_nats(loop.Runner(model), encoded)
    np.testing.assert_allclose(found, torch_nats(torch_model(SMALL), encoded), 1e-5)


def test_a_real_model_equals_transformers(stories):
    encoded = encode(stories)
    found = likelihood.solution_nats(loop.Runner(hf.load(stories, False)), encoded)
    expected = torch_nats(torch_model(stories), encoded)
    np.testing.assert_allclose(found, expected, 1e-5)


def test_an_adapter_equals_peft_and_its_base_is_the_same_weights(small, tmp_path):
    model, encoded = small
    adapter = helpers.random_adapter(model.config)
    peft.save_adapter(adapter, tmp_path, SMALL)
    theirs = torch_peft.PeftModel.from_pretrained(torch_model(SMALL), tmp_path).eval()
    found = likelihood.solution_nats(loop.Runner(model, adapter), encoded)
    np.testing.assert_allclose(found, torch_nats(theirs, encoded), 1e-5)


def test_nf4_weights_are_measured_as_they_are(small):
    _, encoded = small
    quantized = hf.load(SMALL, True)
    dense = convert.to_dense(quantized, jnp.float32)
    found = likelihood.solution_nats(loop.Runner(quantized), encoded)
    expected = likelihood.solution_nats(loop.Runner(dense), encoded)
    np.testing.assert_allclose(found, expected, 1e-5)


def test_a_text_has_the_same_value_alone_and_in_any_order(small):
    model, encoded = small
    runner = loop.Runner(model)
    together = likelihood.solution_nats(runner, encoded[::-1])[::-1]
    alone = [likelihood.solution_nats(runner, [one])[0] for one in encoded[:2]]
    np.testing.assert_allclose(together[:2], alone, 1e-5)


def test_logits_in_chunks_are_the_logits(small, monkeypatch):
    model, encoded = small
    whole = likelihood.solution_nats(loop.Runner(model), encoded[:3])
    monkeypatch.setattr(likelihood, "_LOGITS_BYTES", 4 * 2048 * 100)
    likelihood.next_token_nats.clear_cache()
    chunked = likelihood.solution_nats(loop.Runner(model), encoded[:3])
    likelihood.next_token_nats.clear_cache()
    np.testing.assert_allclose(chunked, whole, 1e-6)


@pytest.mark.parametrize("text", ["data:2,fsdp:2,tensor:2"])
def test_a_mesh_gives_the_same(text):
    model = transformer.Transformer(config.from_dict(RAW), nnx.Rngs(0))
    adapter = helpers.random_adapter(model.config)
    texts = helpers.ragged(40, 9, 70, 25)
    encoded = [
        likelihood.EncodedSolution(str(i), ids[:7], ids[7:], len(ids))
        for i, ids in enumerate(texts)
    ]
    expected = likelihood.solution_nats(loop.Runner(model, adapter), encoded)
    mesh = axes.parse_mesh(text)
    runner = loop.Runner(
        sharding.shard_model(model, mesh),
        sharding.shard_adapter(adapter, mesh),
        transformer.ComputeConfig(mesh=mesh),
    )
    found = likelihood.solution_nats(runner, encoded)
    np.testing.assert_allclose(found, expected, 1e-5)


def test_the_base_of_a_uniform_model_is_its_vocabulary():
    """Every token of log 160 nats: none is skipped, none counted twice."""
    model = transformer.Transformer(config.from_dict(RAW), nnx.Rngs(0))
    model.embed_tokens.weight[...] = jnp.zeros_like(model.embed_tokens.weight[...])
    encoded = [
        likelihood.EncodedSolution("a", [5, 6, 7], [8, 9], 4),
        likelihood.EncodedSolution("b", [5], [8, 9, 3], 4),
    ]
    found = likelihood.solution_nats(loop.Runner(model), encoded)
    np.testing.assert_allclose(found, [2 * math.log(160), 3 * math.log(160)], 1e-6)


def split(folder, prompt, canonical, template=None):
    [one], left_out = likelihood.encode_solutions(
        asked(folder, template), of(problem(prompt, canonical)), LONG
    )
    assert not left_out
    tokenizer = tokens.load_tokenizer(folder)
    texts = [tokenizer.fast.decode([i]) for i in one.ids]
    return texts[: len(one.prompt)], texts[len(one.prompt) :]


def test_a_token_that_spans_the_join_is_scored(tmp_path):
    """To cut the whole text's tokens at the prompt's number would skip it."""
    byte_tokenizers.write(tmp_path, merges=(("\u010a", "\u0120"),))  # "\n" and " "
    assert split(tmp_path, "f:\n", "  x") == (["f", ":"], ["\n ", " ", "x"])
    assert split(tmp_path, "f:\n", "x") == (["f", ":", "\n"], ["x"])


def test_a_prompt_that_is_encoded_otherwise_before_a_solution_is_given(tmp_path):
    """Alone it is "a", "bc"; before "c" it is "ab", "cc": "ab" holds no solution."""
    byte_tokenizers.write(tmp_path, merges=(("c", "c"), ("b", "c"), ("a", "b")))
    alone = tokens.load_tokenizer(tmp_path).fast.tokenize("abc")
    assert alone == ["a", "bc"]
    assert split(tmp_path, "abc", "c") == (["ab"], ["cc"])


def test_one_bos_and_no_eos(tmp_path):
    byte_tokenizers.write(tmp_path, adds="<s> $A </s>")
    assert split(tmp_path, "f", "x") == (["<s>", "f"], ["x"])


def test_a_chat_s_solution_follows_question_and_begun_answer(tmp_path):
    byte_tokenizers.write(tmp_path)
    template = "{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"
    given, scored = split(tmp_path, "f:\n", " x", template)
    text = "".join(given)
    assert text.startswith(prompts.INSTRUCTION) and text.endswith("```python\nf:\n")
    assert scored == [" ", "x"]


def test_bytes_are_counted_not_characters():
    text = "    return '\u00e9\u4e2d'\n"
    encoded, _ = likelihood.encode_solutions(
        asked(SMALL), of(problem("def f():\n", text)), LONG
    )
    assert encoded[0].bytes == len(text.encode()) == len(text) + 3


@pytest.mark.parametrize(
    "name",
    ["qwen2.5-coder", "mistral-7b-v0.3", "deepseek-coder", "codellama-7b-python"],
)
def test_real_tokenizers_keep_every_solution(shared, name):
    """What is scored ends in the solution; its first token may begin in the prompt."""
    file = shared / "humaneval_plus" / "HumanEvalPlus.jsonl"
    folder = shared / "tokenizers" / name
    problems = benchmarks.load_problems(file, limit=40)
    decode = tokens.load_tokenizer(folder).decode
    for one, task in zip(encode(folder, problems), problems.items, strict=True):
        scored = decode(one.ids)[len(decode(one.prompt)) :]
        extra = scored.removesuffix(task.canonical)
        assert extra + task.canonical == scored and task.prompt.endswith(extra)
        first = decode(one.ids[: len(one.prompt) + 1])[len(decode(one.prompt)) :]
        assert len(first) > len(extra)


@pytest.mark.parametrize(
    ("prompt", "canonical", "reason"),
    [
        ("f\n", "", "the canonical solution is empty"),
        ("f\n", "x" * 12, "have 14 tokens, expected at most the model's context of 12"),
        ("f\n", "e\u0301", "the tokenizer changes the canonical solution"),
        ("f\n", "'</s>'", "the tokenizer changes the canonical solution"),
        ("f\n", "'\ud800'", "the canonical solution is no text"),
        ("a", "b", "its first token holds a part of the canonical solution"),
    ],
)
def test_what_cannot_be_measured_is_left_out_by_name(
    tmp_path, prompt, canonical, reason
):
    byte_tokenizers.write(tmp_path, merges=(("a", "b"),), normalizer=normalizers.NFC())
    tasks = of(problem(prompt, canonical, "A/7"), problem("f\n", "x", "A/8"))
    encoded, left_out = likelihood.encode_solutions(asked(tmp_path), tasks, 12)
    assert [one.task_id for one in encoded] == ["A/8"]
    assert [one.task_id for one in left_out] == ["A/7"]
    assert reason in left_out[0].reason


def solutions(*sizes):
    return [
        likelihood.EncodedSolution(f"A/{i}", [1], [2, 3], size)
        for i, size in enumerate(sizes)
    ]


def test_records_are_paired_by_problem():
    record = likelihood.make_record(
        solutions(4, 2, 10), [], [2.0, 1.0, 1.0], [2.4, 1.6, 2.0]
    )
    assert record["nats_a_byte"] == pytest.approx((0.5 + 0.5 + 0.1) / 3)
    assert record["base_nats_a_byte"] == pytest.approx((0.6 + 0.8 + 0.2) / 3)
    paired = record["paired"]
    assert paired["estimate"] == pytest.approx(-0.5 / 3)
    assert (paired["n"], paired["below"], paired["above"]) == (3, 3, 0)
    assert paired["sign_p"] == 0.25 and paired["low"] < paired["estimate"]
    assert record["solutions"][2] == {
        "task_id": "A/2",
        "bytes": 10,
        "tokens": 2,
        "nats": 1.0,
        "base_nats": 2.0,
    }
    text = likelihood.summary(record)
    assert "0.3667 nats a byte, mean of 3 problems" in text
    assert "better on 3 of 3, sign test p 0.25" in text


def test_a_record_holds_no_nan_and_an_empty_one_says_why():
    record = likelihood.make_record(solutions(4), [], [2.0], [2.0])
    assert record["paired"]["t"] is None and record["paired"]["low"] is None
    assert "adapter minus base +0.0000" in likelihood.summary(record)
    left_out = [likelihood.LeftOut("A/0", "too long")]
    empty = likelihood.make_record([], left_out, [], [])
    assert empty["nats_a_byte"] is None and empty["paired"] is None
    assert likelihood.summary(empty) == "  left out A/0: too long"
    assert likelihood.solution_nats(loop.Runner(None), []) == []


@pytest.mark.real
def test_smollm2_equals_transformers(smollm2):
    problems = benchmarks.load_problems(benchmarks.EMBEDDED, limit=3)
    encoded = encode(smollm2, problems)
    found = likelihood.solution_nats(loop.Runner(hf.load(str(smollm2), False)), encoded)
    expected = torch_nats(torch_model(smollm2), encoded)
    np.testing.assert_allclose(found, expected, 1e-5)
