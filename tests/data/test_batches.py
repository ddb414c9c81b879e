import numpy as np
import pytest
from hypothesis import given, settings, strategies

from jaxent.data import batches

LENGTHS = strategies.lists(strategies.integers(2, 50), min_size=1, max_size=16)


def examples(lengths):
    return [
        np.arange(100 * i, 100 * i + n, dtype=np.int32) for i, n in enumerate(lengths)
    ]


def contents(batch, used):
    """The examples found in a batch, by row and segment."""
    found = []
    for row in range(used):
        for segment in set(batch.segments[row]) - {0}:
            at = np.flatnonzero(batch.segments[row] == segment)
            assert np.array_equal(at, np.arange(at[0], at[-1] + 1))
            np.testing.assert_array_equal(batch.positions[row, at], np.arange(len(at)))
            np.testing.assert_array_equal(
                batch.targets[row, at[:-1]], batch.tokens[row, at[1:]]
            )
            np.testing.assert_array_equal(
                batch.weights[row, at], [1] * (len(at) - 1) + [0]
            )
            found.append(batch.tokens[row, at].tolist())
    assert batch.weights[used:].sum() == batch.segments[used:].sum() == 0
    return sorted(found)


@settings(max_examples=60, deadline=None)
@given(LENGTHS)
def test_packing_and_padding_hold_every_example_once(lengths):
    group = examples(lengths)
    expected = sorted(e.tolist() for e in group)
    packed, padded = batches.pack(group, 50, 16), batches.pad(group, 50, 16)
    assert contents(*packed) == contents(*padded) == expected
    assert packed[1] <= padded[1] == len(group)
    assert packed[0].weights.sum() == padded[0].weights.sum()
    assert packed[0].tokens.shape == (16, 50)


@pytest.mark.parametrize("arrange", [batches.pack, batches.pad])
def test_rows_held_elsewhere_are_laid_out_but_not_read(arrange):
    group, read = examples([20, 30, 7, 50, 41, 3]), np.arange(16) % 2 == 1
    (whole, used), (part, same) = arrange(group, 50, 16), arrange(group, 50, 16, read)
    assert used == same and whole.tokens[0].any() and whole.tokens[2].any()
    for name in ("tokens", "targets"):
        np.testing.assert_array_equal(
            getattr(part, name), getattr(whole, name) * read[:, None]
        )
    for name in ("weights", "segments", "positions"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))


@settings(max_examples=60, deadline=None)
@given(LENGTHS)
def test_rows_of_several_lengths_hold_every_example_once(lengths):
    group = examples(lengths)
    groups = batches.pack_lengths(group, (16, 32, 50))
    found = [ids for g in groups for ids in contents(g, len(g.tokens))]
    assert sorted(found) == sorted(e.tolist() for e in group)
    widths = [g.tokens.shape[1] for g in groups]
    assert widths == sorted(set(widths), reverse=True) and set(widths) <= {16, 32, 50}
    segments = np.concatenate([np.unique(g.segments) for g in groups])
    assert set(segments) - {0} == set(range(1, len(group) + 1))
    computed = sum(g.tokens.size for g in groups)
    one_length = batches.pack(group, 50, 16)[1] * 50
    assert computed <= one_length


def test_row_lengths_reach_the_longest_example():
    assert batches.row_lengths(512) == batches.ROW_LENGTHS
    assert batches.row_lengths(8192) == (*batches.ROW_LENGTHS, 8192)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="an example of 51 tokens: expected 2 to 50"):
        batches.pack(examples([51]), 50, 16)
    with pytest.raises(ValueError, match="17 examples in 16 rows"):
        batches.pad(examples([5] * 17), 50, 16)


@settings(max_examples=60, deadline=None)
@given(LENGTHS)
def test_packing_uses_the_rows_of_textbook_first_fit_decreasing(lengths):
    """One bin an example is always enough, so 16 examples never need a 17th row."""
    _, used = batches.pack(examples(lengths), 50, 16)
    bins = [[] for _ in lengths]
    for n in sorted(lengths, reverse=True):
        next(b for b in bins if sum(b) + n <= 50).append(n)
    assert used == sum(map(bool, bins))


def test_flags_move_with_their_examples_and_one_position_down():
    ids = [np.array([5, 6, 7]), np.array([8, 9, 10, 11])]
    flags = [np.array([True, False, True]), None]
    packed, _ = batches.pack(ids, 8, 2, counted=flags)
    # The longer example comes first; 6 is no target that counts, 7 is.
    assert packed.weights[0].tolist() == [1, 1, 1, 0, 0, 1, 0, 0]
    padded, _ = batches.pad(ids, 4, 2, counted=flags)
    assert padded.weights.tolist() == [[0, 1, 0, 0], [1, 1, 1, 0]]
    # Rows that another process reads have the same weights: its step counts alike.
    other, _ = batches.pad(ids, 4, 2, np.array([False, True]), flags)
    assert other.weights.tolist() == padded.weights.tolist()
    assert not other.tokens[0].any()
