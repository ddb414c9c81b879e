"""Greedy decoding of a ragged batch: one prefill, then one jitted while-loop over a carried cache."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import lora
from jaxent.model import cache as caches, transformer

_COLUMNS = 64  # prompt and output lengths are rounded up to this: few compilations


def generate(
    model: transformer.Transformer,
    prompts: list[list[int]],
    max_new: int,
    eos_id: int | None = None,
    adapter=None,
    spec: lora.Spec | None = None,
    compute: transformer.Compute = transformer.Compute(),
) -> list[list[int]]:
    """The most likely continuation of each prompt, token by token: up to max_new ids, eos included.

    Prompts are left-padded to a common column, which changes no result in float32: equals
    transformers' generate(do_sample=False) of each prompt alone.
    """
    if not prompts or min(map(len, prompts)) == 0 or max_new < 1:
        raise ValueError(f"{len(prompts)} prompts, max_new {max_new}: expected non-empty prompts and max_new >= 1")
    width = -(-max(map(len, prompts)) // _COLUMNS) * _COLUMNS
    padded = np.zeros((len(prompts), width), np.int32)
    for row, prompt in zip(padded, prompts):
        row[width - len(prompt) :] = prompt
    start = jnp.array([width - len(p) for p in prompts], jnp.int32)
    room = -(-max_new // _COLUMNS) * _COLUMNS
    out = _decode(model, padded, start, jnp.int32(max_new), adapter, room=room, eos=eos_id, spec=spec, compute=compute)
    return [_cut(row[:max_new], eos_id) for row in np.asarray(out).tolist()]


def _cut(ids: list[int], eos) -> list[int]:
    return ids[: ids.index(eos) + 1] if eos in ids else ids


@functools.partial(jax.jit, static_argnames=("room", "eos", "spec", "compute"))
def _decode(model, prompts, start, limit, adapter, *, room, eos, spec, compute):
    """New tokens int [B, room]; columns from `limit` on, or after a row's eos, are to be cut."""
    batch, width = prompts.shape
    cache = caches.empty(model.config, batch, width + room, compute.dtype)
    hidden, cache = model.extend(prompts, start, jnp.int32(0), cache, adapter, spec, compute)
    first = _best(model, hidden[:, -1])

    def more(state):
        count, _, done, _, _ = state
        return (count < limit) & ~done.all()

    def body(state):
        count, last, done, out, cache = state
        hidden, cache = model.extend(last[:, None], start, width + count - 1, cache, adapter, spec, compute)
        token = _best(model, hidden[:, 0])
        out = jax.lax.dynamic_update_slice(out, token[:, None], (0, count))
        return count + 1, token, done | _ended(token, eos), out, cache

    out = jnp.zeros((batch, room), jnp.int32).at[:, 0].set(first)
    state = (jnp.int32(1), first, _ended(first, eos), out, cache)
    return jax.lax.while_loop(more, body, state)[3]


def _best(model, hidden):
    return model.logits(hidden).argmax(-1).astype(jnp.int32)


def _ended(token, eos):
    return jnp.zeros(token.shape, bool) if eos is None else token == eos
