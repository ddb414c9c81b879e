"""Lengths, batch sizes and rows that fit, against their definitions."""

import jax.numpy as jnp
import pytest

from jaxent.decode import plan
from jaxent.model import cache as caches
from jaxent.model import known_configs

CONFIG = known_configs.find_config("Qwen/Qwen2.5-Coder-7B")


@pytest.mark.parametrize("longest", [1, 64, 65, 500, 4000])
@pytest.mark.parametrize("max_new_tokens", [1, 31, 256, 768])
@pytest.mark.parametrize("chunk", [1, 8, 32])
def test_a_layout_holds_the_prompts_and_whole_chunks(longest, max_new_tokens, chunk):
    layout = plan.plan_layout(longest, max_new_tokens, chunk)
    assert longest <= layout.width < longest + 64 and layout.width % 64 == 0
    assert max_new_tokens <= layout.room < max_new_tokens + chunk
    assert layout.room % chunk == 0
    lengths = layout.lengths
    assert len(lengths) <= 4 and list(lengths) == sorted(set(lengths))
    assert lengths[-1] == layout.columns
    for columns in (1, layout.width, layout.columns):
        chosen = layout.length(columns)
        assert chosen == min(n for n in lengths if n >= columns)


@pytest.mark.parametrize("axis_size", [1, 2, 8])
@pytest.mark.parametrize("rows", [1, 7, 8, 164])
def test_buckets_halve_and_split_evenly(rows, axis_size):
    sizes = plan.batch_buckets(rows, axis_size)
    assert rows <= sizes[0] < rows + axis_size and sizes[-1] == axis_size
    for larger, smaller in zip(sizes, sizes[1:]):
        assert larger / 2 <= smaller < larger / 2 + axis_size and smaller < larger
    assert all(size % axis_size == 0 for size in sizes)


def test_rows_that_fit_use_nine_tenths_of_the_memory():
    """A row is 1.75 caches and four arrays of logits."""
    row = 1.75 * caches.row_bytes(CONFIG, 1024, jnp.bfloat16) + 16 * CONFIG.vocab
    free = int(10.5 * row / 0.9)
    assert plan.rows_that_fit(CONFIG, 1024, jnp.bfloat16, free) == 10
    assert plan.rows_that_fit(CONFIG, 1024, jnp.float32, free) < 10


def test_memory_for_less_than_a_row_is_refused():
    with pytest.raises(
        ValueError, match=r"1024 columns needs .* but 0.00 GiB are free"
    ):
        plan.rows_that_fit(CONFIG, 1024, jnp.bfloat16, 1000)


def test_free_memory_is_read_from_the_system():
    with open("/proc/meminfo") as lines:
        total = int(lines.readline().split()[1]) * 1024
    assert 0 < plan.free_bytes() < total


def test_dense_bytes():
    assert plan.dense_bytes(CONFIG, 1000, jnp.bfloat16) == 28 * 1000 * 2
