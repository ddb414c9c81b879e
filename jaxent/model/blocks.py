"""Flax NNX modules of the decoder, named as Hugging Face names them.

Every parameter of a layer has a leading layer axis, which the scan over the layers
removes, and its logical axes as metadata `logical`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import ad_checkpoint
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import attention, dropout, layers
from jaxent.model import cache as caches
from jaxent.model import config as configs

LINEAR_AXES = {
    "q_proj": ("embed", "heads"),
    "k_proj": ("embed", "kv_heads"),
    "v_proj": ("embed", "kv_heads"),
    "o_proj": ("heads", "embed"),
    "gate_proj": ("embed", "mlp"),
    "up_proj": ("embed", "mlp"),
    "down_proj": ("mlp", "embed"),
}
"""Logical axes of the inputs and outputs of each linear module."""


def linear_shapes(config: configs.Config) -> dict[str, tuple[int, int]]:
    """Shapes of the seven linear modules of a layer.

    Args:
        config: the model's configuration.

    Returns:
        (K, N), inputs and outputs, of each module.

    Example:
        >>> from jaxent.model import known_configs
        >>> config = known_configs.require_config("Qwen/Qwen3-0.6B")
        >>> linear_shapes(config)["k_proj"]
        (1024, 1024)
    """
    d, f, h = config.embed, config.mlp, config.head_dim
    return {
        "q_proj": (d, config.heads * h),
        "k_proj": (d, config.kv_heads * h),
        "v_proj": (d, config.kv_heads * h),
        "o_proj": (config.heads * h, d),
        "gate_proj": (d, f),
        "up_proj": (d, f),
        "down_proj": (f, d),
    }


@dataclasses.dataclass(frozen=True)
class LayerContext:
    """What a layer needs besides the residual stream.

    Attributes:
        positions: int [B, T].
        adapter: this layer's factors, without a layer axis, or None.
        mesh: mesh of the arrays, or None.
        keys: uint32 [B, T], each token's dropout key in this layer, or None.
        segments: int [B, T]; None beside a cache.
        kernel: attention kernel.
        column: column of the cache that is written; beside a cache only.
        seen: bool [B, S], columns of the cache that are seen; beside a cache only.
    """

    positions: jax.Array
    adapter: lora.Adapter | None
    mesh: Mesh | None
    keys: jax.Array | None = None
    segments: jax.Array | None = None
    kernel: str = "xla"
    column: jax.Array | None = None
    seen: jax.Array | None = None


def _normal_param(rngs: nnx.Rngs, shape, dtype, logical) -> nnx.Param:
    """A parameter drawn from N(0, 0.02^2)."""
    value = 0.02 * jax.random.normal(rngs.params(), shape, jnp.float32)
    return nnx.Param(value.astype(dtype), logical=logical)


class Linear(nnx.Module):
    """weight [L, K, N] (dense, or NF4 once quantised) and bias [L, N] or None."""

    def __init__(self, config: configs.Config, module: str, dtype, rngs: nnx.Rngs):
        k, n = linear_shapes(config)[module]
        logical = LINEAR_AXES[module]
        self.module = module
        self.logical = logical
        shape = (config.layers, k, n)
        self.weight = _normal_param(rngs, shape, dtype, ("layer", *logical))
        bias = None
        if config.qkv_bias and module in ("q_proj", "k_proj", "v_proj"):
            zeros = jnp.zeros((config.layers, n), dtype)
            bias = nnx.Param(zeros, logical=("layer", logical[1]))
        self.bias = bias

    def __call__(self, x, ctx: LayerContext):
        """x [B, T, K] -> [B, T, N]."""
        index = lora.MODULES.index(self.module)
        keys = None if ctx.keys is None else dropout.fold_in(ctx.keys, index)
        factors, config = self._gather_factors(ctx)
        weight = axes.gather_embed(self.weight.get_value(), ctx.mesh, *self.logical)
        bias = None if self.bias is None else self.bias.get_value()
        y = layers.linear(x, weight, bias, factors, config, keys)
        outputs = self.logical[1]
        if outputs != "embed":
            y = ad_checkpoint.checkpoint_name(y, layers.KEPT)
        # The residual stream is whole along its embedding axis.
        split = None if outputs == "embed" else outputs
        return axes.constrain(y, ctx.mesh, "batch", None, split)

    def _gather_factors(self, ctx: LayerContext):
        """This module's factors and the adapter's configuration, or None for each."""
        if ctx.adapter is None:
            return None, None
        factors = ctx.adapter.params.get(lora.PATHS[self.module])
        if factors is not None:
            inputs, outputs = self.logical
            vectors = {
                name: axes.gather_embed(value, ctx.mesh, outputs)
                for name, value in factors.vectors().items()
            }
            factors = lora.LoraParams(
                axes.gather_embed(factors.a, ctx.mesh, None, inputs),
                axes.gather_embed(factors.b, ctx.mesh, None, outputs),
                **vectors,
            )
        return factors, ctx.adapter.config


class Norm(nnx.Module):
    """RMS norm, weight [(L,) D], or [L, H] with axis None for one over each head."""

    def __init__(self, shape, eps: float, dtype, axis: str | None = "embed"):
        self.eps = eps
        logical = ("layer", axis)[-len(shape) :]
        self.weight = nnx.Param(jnp.ones(shape, dtype), logical=logical)

    def __call__(self, x):
        """x [..., D] -> [..., D]."""
        return layers.rms_norm(x, self.weight.get_value(), self.eps)


def _head_norm(config: configs.Config, dtype) -> Norm | None:
    """The norm of each head's query or key, if the model has one."""
    if not config.qk_norm:
        return None
    shape = (config.layers, config.head_dim)
    return Norm(shape, config.norm_eps, dtype, axis=None)


class Attention(nnx.Module):
    """Grouped-query attention with rotary embedding."""

    def __init__(self, config: configs.Config, dtype, rngs: nnx.Rngs):
        self.config = config
        self.q_proj = Linear(config, "q_proj", dtype, rngs)
        self.k_proj = Linear(config, "k_proj", dtype, rngs)
        self.v_proj = Linear(config, "v_proj", dtype, rngs)
        self.o_proj = Linear(config, "o_proj", dtype, rngs)
        self.q_norm = _head_norm(config, dtype)
        self.k_norm = _head_norm(config, dtype)

    def __call__(
        self, x, ctx: LayerContext, layer=None, cache: caches.Cache | None = None
    ) -> tuple[jax.Array, Any]:
        """Attends within segments, or, with a cache, to the columns seen.

        Args:
            x: [B, T, D]; T is 1 with a cache.
            ctx: positions, adapter and mesh.
            layer: index of the layer in the cache.
            cache: the key-value cache, or None.

        Returns:
            The output [B, T, D], and the layer's keys and values [B, T, K, H] or the
            cache with them written.
        """
        c = self.config
        q, k, v = self._project(x, ctx)
        kept: Any
        if cache is None:
            out = attention.attend(
                q, k, v, ctx.segments, c.window, ctx.kernel, ctx.mesh
            )
            kept = k, v
        else:
            kept = cache.write(layer, ctx.column, k, v, ctx.mesh)
            keys, values = kept.read(layer)
            out = attention.decode_attention(q, keys, values, ctx.seen)
        b, t, _ = x.shape
        return self.o_proj(out.reshape(b, t, -1), ctx), kept

    def _project(self, x, ctx: LayerContext):
        """Queries [B, T, N, H] and keys [B, T, K, H], rotated, and values."""
        c = self.config
        b, t, _ = x.shape
        q = self.q_proj(x, ctx).reshape(b, t, c.heads, c.head_dim)
        k = self.k_proj(x, ctx).reshape(b, t, c.kv_heads, c.head_dim)
        v = self.v_proj(x, ctx).reshape(b, t, c.kv_heads, c.head_dim)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        frequencies = layers.rotary_frequencies(c.rope, c.head_dim)
        q = layers.apply_rotary(q, ctx.positions, frequencies)
        k = layers.apply_rotary(k, ctx.positions, frequencies)
        return q, k, v


class MLP(nnx.Module):
    """Gated MLP: down(silu(gate(x)) * up(x))."""

    def __init__(self, config: configs.Config, dtype, rngs: nnx.Rngs):
        self.gate_proj = Linear(config, "gate_proj", dtype, rngs)
        self.up_proj = Linear(config, "up_proj", dtype, rngs)
        self.down_proj = Linear(config, "down_proj", dtype, rngs)

    def __call__(self, x, ctx: LayerContext):
        """x [B, T, D] -> [B, T, D]."""
        gated = jax.nn.silu(self.gate_proj(x, ctx)) * self.up_proj(x, ctx)
        return self.down_proj(gated, ctx)


class Block(nnx.Module):
    """All layers at once; the scan over the layers removes the layer axis."""

    def __init__(self, config: configs.Config, dtype, rngs: nnx.Rngs):
        shape = (config.layers, config.embed)
        self.self_attn = Attention(config, dtype, rngs)
        self.mlp = MLP(config, dtype, rngs)
        self.input_layernorm = Norm(shape, config.norm_eps, dtype)
        self.post_attention_layernorm = Norm(shape, config.norm_eps, dtype)

    def __call__(
        self, x, ctx: LayerContext, layer=None, cache: caches.Cache | None = None
    ) -> tuple[jax.Array, Any]:
        """One layer; arguments and second result as of `Attention`.

        Returns:
            The residual stream [B, T, D], and keys and values, or the cache.
        """
        mixed, kept = self.self_attn(self.input_layernorm(x), ctx, layer, cache)
        x = ad_checkpoint.checkpoint_name(x + mixed, layers.KEPT)
        return x + self.mlp(self.post_attention_layernorm(x), ctx), kept


class Embedding(nnx.Module):
    """weight [V, D]: token embedding or output head."""

    def __init__(self, config: configs.Config, dtype, rngs: nnx.Rngs):
        shape = (config.vocab, config.embed)
        self.weight = _normal_param(rngs, shape, dtype, ("vocab", "embed"))
