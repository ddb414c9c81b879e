import pathlib

import numpy as np
import pytest

from jaxent.data import corpora, holdout, tokens

TOKENIZER = tokens.load_tokenizer(
    pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
)


def encode(texts, length=64):
    return [ids[:length] for ids in TOKENIZER.encode(texts)]


def test_content_decides_whatever_the_order_and_the_file():
    texts = [f"text number {n} of many" for n in range(400)]
    config = holdout.HoldoutConfig(0.1)
    train, held_out = holdout.split(TOKENIZER, encode(texts), config)
    assert sorted([*train, *held_out]) == list(range(400))
    assert 20 < len(held_out) < 65
    chosen = {texts[i] for i in held_out}
    again = texts[::-1] + ["another text"]
    _, other = holdout.split(TOKENIZER, encode(again), config)
    assert {again[i] for i in other} - {"another text"} == chosen


def test_duplicates_are_on_one_side_also_those_behind_the_cut():
    texts = [f"case {n}" for n in range(60)]
    copies = [f"  CASE\n{n} " for n in range(60)]
    train, held_out = holdout.split(
        TOKENIZER, encode(texts + copies), holdout.HoldoutConfig(0.2)
    )
    assert len(held_out) and not {i % 60 for i in train} & {i % 60 for i in held_out}
    long = "the same beginning of two texts, "
    first, second = holdout.positions(TOKENIZER, encode([long + "a", long + "b"], 4))
    assert first == second


def test_positions_are_evenly_spread():
    found = [holdout.content_position(str(n)) for n in range(2000)]
    counts, _ = np.histogram(found, 10, (0, 1))
    assert counts.min() > 150 and counts.max() < 250


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_is_between_nothing_and_all(share):
    with pytest.raises(
        ValueError, match=f"--eval_share {share}: expected 0 < share < 1"
    ):
        holdout.HoldoutConfig(share)


def test_at_least_one_is_scored():
    with pytest.raises(ValueError, match="--max_eval_samples 0: expected at least 1"):
        holdout.HoldoutConfig(max_examples=0)
