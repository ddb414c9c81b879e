"""Activations of texts: one vector a text, pooled over its real tokens."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import transformer

POOLINGS = ("mean", "last")
_BUCKET = 32  # rows are padded to multiples of this many tokens: few compilations


@dataclasses.dataclass(frozen=True)
class CaptureConfig:
    """Which activations: layer -1 is after the final norm (Hugging Face's hidden_states[-1]), None all; and the pooling.

    norm: False leaves the final norm out of the last layer's.
    """

    layer: int | None = -1
    pooling: str = "mean"
    norm: bool = True

    def __post_init__(self):
        if self.pooling not in POOLINGS:
            raise ValueError(
                f"pooling {self.pooling!r}: expected one of {', '.join(POOLINGS)}"
            )


def pool(hidden, segments, pooling: str) -> jax.Array:
    """float32 [B, D]: mean over real tokens (segment > 0) or the last real one, of hidden [B,T,D]."""
    real = (segments > 0).astype(jnp.float32)
    if pooling == "last":
        real = real * (jnp.cumsum(real, axis=1) == real.sum(1, keepdims=True))
    return jnp.einsum(
        "btd,bt->bd", hidden.astype(jnp.float32), real, precision="highest"
    ) / real.sum(1, keepdims=True)


class _Identity(nnx.Module):
    """Stands where the final norm was."""

    def __call__(self, x):
        return x


def activations(
    model,
    tokens,
    segments,
    positions,
    adapter,
    where: CaptureConfig,
    compute,
    grad_accum=None,
) -> jax.Array:
    """Pooled activations float32 [B, D] in evaluation mode, differentiable in adapter.

    Layers are numbered as Hugging Face's hidden_states: 0 embedding, i after layer i, -1 final norm;
    None gives all of them, [L + 1, B, D]. grad_accum: of the last layer only, what the gradient is added to (see `Transformer`).
    """
    if not where.norm:
        model = jax.tree.map(lambda leaf: leaf, model)  # a copy
        model.norm = _Identity()
    if where.layer in (-1, model.config.layers):
        return pool(
            model(
                tokens,
                segments,
                positions,
                adapter,
                None,
                compute,
                grad_accum=grad_accum,
            ),
            segments,
            where.pooling,
        )
    tap = functools.partial(pool, segments=segments, pooling=where.pooling)
    last, earlier = model(tokens, segments, positions, adapter, None, compute, tap)
    return (
        earlier[where.layer]
        if where.layer is not None
        else jnp.concatenate([earlier, tap(last)[None]])
    )


def bucket_length(length: int) -> int:
    """length rounded up to a multiple of 32 tokens."""
    return -(-length // _BUCKET) * _BUCKET


def batch_size(
    number: int, length: int, tokens: int, compute: transformer.ComputeConfig
) -> int:
    """Rows of `length` run at a time: `number` at most, `tokens` tokens a part of the mesh's batch, a multiple of the parts."""
    ways = axes.axis_size(compute.mesh, "batch")
    return min(-(-number // ways), max(1, tokens // length)) * ways


def right_pad(examples: list[list[int]], length: int):
    """Right-padded int32 arrays [B, length]: tokens, segments (1 real, 0 padding), positions."""
    tokens, segments = np.zeros((2, len(examples), length), np.int32)
    for index, ids in enumerate(examples):
        tokens[index, : len(ids)] = ids
        segments[index, : len(ids)] = 1
    return (
        tokens,
        segments,
        np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape),
    )


@functools.partial(jax.jit, static_argnames=("where", "compute"))
def jit_activations(
    model, tokens, segments, positions, adapter, where: CaptureConfig, compute
) -> jax.Array:
    """`activations`, the same on every device of a mesh."""
    return axes.constrain(
        activations(model, tokens, segments, positions, adapter, where, compute),
        compute.mesh,
    )


def check_lengths(examples: list[list[int]], context: int) -> None:
    """ValueError naming the first text that is empty or longer than the model's context."""
    for number, ids in enumerate(examples):
        if not 0 < len(ids) <= context:
            raise ValueError(
                f"probe {number} has {len(ids)} tokens: expected 1 to the model's context {context}"
            )


def capture(
    model: transformer.Transformer,
    examples: list[list[int]],
    adapter: lora.Adapter | None = None,
    where: CaptureConfig = CaptureConfig(),
    compute: transformer.ComputeConfig = transformer.ComputeConfig(),
    batch_tokens: int | None = None,
) -> np.ndarray:
    """Activations float32 [P, D] of token id lists, in their order; rows of similar length run together.

    [L + 1, P, D] where all layers are asked for. batch_tokens: tokens run at a time on each part that rows are split into (default:
    8192, 2048 on a CPU). Raises ValueError for an empty text or one longer than the model's context.
    """
    check_lengths(examples, model.config.context)
    batch_tokens = batch_tokens or transformer.default_pass_tokens()
    lengths = [len(ids) for ids in examples]
    layers = () if where.layer is not None else (model.config.layers + 1,)
    out = np.zeros((*layers, len(examples), model.config.embed), np.float32)
    buckets: dict[int, list[int]] = {}
    for index, n in enumerate(lengths):
        buckets.setdefault(bucket_length(n), []).append(index)
    for length, members in sorted(buckets.items()):
        size = batch_size(len(members), length, batch_tokens, compute)
        for begin in range(0, len(members), size):
            part = members[begin : begin + size]
            filled = [examples[i] for i in part] + [[0]] * (size - len(part))
            arrays = (
                axes.device_put_logical(x, compute.mesh, "batch", None)
                for x in right_pad(filled, length)
            )
            result = jit_activations(model, *arrays, adapter, where, compute)
            out[..., part, :] = np.asarray(result)[..., : len(part), :]
    return out
