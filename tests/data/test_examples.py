import itertools
import pathlib

import numpy as np
import pytest

from jaxent.data import batches, corpora, examples, tokens

TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
PAIRS = [
    ("What is 2 + 2?\n", "It is 4."),
    ("Question: why?\nAnswer:", " Because."),
    ("Answer: ", "42"),  # a space at the end of the prompt
    ("use ", "memory.feedback()"),
    ("hel", "lo"),
    ("def f(x):", "\n    return x"),
    ("caf", "é au lait"),
    ("漢", "字"),
    ("", "only a completion"),
]


@pytest.fixture(params=["tiny", "stories260k", "qwen2.5-coder", "mistral-7b-v0.3"])
def tokenizer(request):
    if request.param == "tiny":
        return tokens.load_tokenizer(TINY)
    shared = request.getfixturevalue("shared")
    if request.param == "stories260k":
        return tokens.load_tokenizer(shared / request.param)
    return tokens.load_tokenizer(shared / "tokenizers" / request.param)


def trl_completion_mask(tokenizer, prompt, completion):
    """TRL 1.16's rule: the completion begins where the two tokenizations diverge."""
    alone, both = tokenizer.encode([prompt, prompt + completion])
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(alone, both))
    begin = len(list(same))
    # TRL appends eos to completions that do not end with it.
    mask = [False] * begin + [True] * (len(both) - begin) + [True]
    return [*both, tokenizer.eos_id], mask, begin == len(alone)


@pytest.mark.parametrize(("prompt", "completion"), PAIRS)
def test_completions_are_counted_as_by_trl(tokenizer, prompt, completion):
    encoder = examples.Encoder(tokenizer, 512, "pair", "completion")
    [example], tally = encoder.encode([(prompt, completion)])
    ids, mask, is_prefix = trl_completion_mask(tokenizer, prompt, completion)
    assert example.ids.tolist() == ids
    assert example.counted[-1] and example.ids[-1] == tokenizer.eos_id
    if is_prefix:
        assert example.counted.tolist() == mask and not tally["join"]
    else:  # never a token that is of the prompt alone, always one across the join
        assert not (example.counted & ~np.array(mask)).any()
        first = int(np.argmax(example.counted))
        assert tally["join"] == 1
        before, across = (tokenizer.decode(ids[: first + n]) for n in (0, 1))
        assert prompt.startswith(before) and len(before) < len(prompt)
        assert not prompt.startswith(across)


def test_all_counts_the_prompt_too_and_equals_the_text(tokenizer):
    prompt, completion = PAIRS[1]
    [pair], _ = examples.Encoder(tokenizer, 512, "pair", "all").encode([PAIRS[1]])
    [text], _ = examples.Encoder(tokenizer, 512).encode([prompt + completion])
    np.testing.assert_array_equal(pair.ids, text.ids)
    assert pair.counted.all() and text.counted.all()


def test_one_bos_and_one_eos_whatever_the_text_brings(tokenizer):
    fast = tokenizer.fast
    texts = ["Hello", f"Hello{fast.eos_token}"]
    if tokenizer.bos_id is not None:
        texts.append(f"{fast.bos_token}Hello")
    found, _ = examples.Encoder(tokenizer, 64).encode(texts)
    for example in found:
        ids = example.ids.tolist()
        assert ids.count(tokenizer.eos_id) == 1 and ids[-1] == tokenizer.eos_id
        if tokenizer.bos_id is not None:
            assert ids.count(tokenizer.bos_id) == 1 and ids[0] == tokenizer.bos_id


def test_a_cut_keeps_the_beginning_and_leaves_out_what_teaches_nothing():
    tokenizer = tokens.load_tokenizer(TINY)
    encoder = examples.Encoder(tokenizer, 8, "pair", "completion")
    long = "a much longer prompt than eight tokens of this tokenizer"
    kept, tally = encoder.encode([("a", " b c d e f g h i j k"), (long, " b")])
    assert [len(example.ids) for example in kept] == [8]
    assert (tally["cut"], tally["untrainable"]) == (2, 1)
    # Under "all" the same record teaches its prompt.
    kept, tally = examples.Encoder(tokenizer, 8, "pair").encode([(long, " b")])
    assert len(kept) == 1 and not tally["untrainable"]


@pytest.mark.parametrize(
    ("form", "blank"),
    [
        ("text", ["", " \n"]),
        ("pair", [("prompt", ""), ("prompt", "  ")]),
    ],
)
def test_blank_records_are_left_out_and_counted(form, blank):
    encoder = examples.Encoder(tokens.load_tokenizer(TINY), 64, form)
    assert encoder.encode(blank) == ([], {"records": 2, "empty": 2})


def test_the_loss_counts_the_same_predictions_as_torchs_ignored_labels():
    """The flag of token t is the weight of position t - 1, as -100 in labels is."""
    torch = pytest.importorskip("torch")
    tokenizer = tokens.load_tokenizer(TINY)
    encoder = examples.Encoder(tokenizer, 64, "pair", "completion")
    kept, _ = encoder.encode(PAIRS)
    ids, counted = map(list, zip(*kept))
    size = tokenizer.fast.vocab_size + 8
    table = np.random.default_rng(0).normal(size=(64, size)).astype(np.float32)
    total, number = 0.0, 0
    for one, flags in kept:
        labels = torch.tensor(np.where(flags, one, -100)[1:].astype(np.int64))
        logits = torch.tensor(table[: len(one) - 1])
        total += torch.nn.functional.cross_entropy(
            logits, labels, ignore_index=-100, reduction="sum"
        ).item()
        number += int((labels != -100).sum())
    logits = torch.tensor(table).double()
    nll = (-torch.log_softmax(logits, -1)).numpy()
    for arrange in (batches.pack, batches.pad):
        batch, _ = arrange(ids, 64, len(ids), counted=counted)
        assert batch.weights.sum() == number
        losses = nll[batch.positions, batch.targets]
        assert (losses * batch.weights).sum() == pytest.approx(total, rel=1e-5)
