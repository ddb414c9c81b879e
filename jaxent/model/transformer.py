"""The decoder: Flax NNX modules named as Hugging Face names them, one scan over the layers."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import attention, layers
from jaxent.model import cache as caches
from jaxent.model import config as configs


@dataclasses.dataclass(frozen=True)
class ComputeConfig:
    """How to compute: the dtype of activations and products, the attention kernel, and the mesh the arrays lie on, if any."""

    dtype: jnp.dtype = jnp.float32
    kernel: str = "xla"
    mesh: Mesh | None = None

    def __post_init__(self):
        if self.kernel not in attention.KERNELS:
            raise ValueError(
                f"attention kernel {self.kernel!r}: expected one of {', '.join(attention.KERNELS)}"
            )


def default_compute(
    dtype: str | None = None, mesh: Mesh | None = None
) -> ComputeConfig:
    """bfloat16 on accelerators, float32 on CPU (where bfloat16 products are slower), unless dtype is given."""
    chosen = jnp.dtype(
        dtype or ("float32" if jax.default_backend() == "cpu" else "bfloat16")
    )
    return ComputeConfig(chosen, attention.default_kernel(chosen), mesh)


def default_pass_tokens(backend: str | None = None) -> int:
    """Tokens that a pass without gradient runs at a time on a backend (the default one): products so tall fill an accelerator, and
    32B's activations of them are 0.5 GB; a CPU's caches hold no more than a quarter.
    """
    return 2048 if (backend or jax.default_backend()) == "cpu" else 8192


def linear_shapes(config: configs.Config) -> dict[str, tuple[int, int]]:
    """(K, N) of each of the seven linear modules of a layer."""
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


LINEAR_AXES = {
    "q_proj": ("embed", "heads"),
    "k_proj": ("embed", "kv_heads"),
    "v_proj": ("embed", "kv_heads"),
    "o_proj": ("heads", "embed"),
    "gate_proj": ("embed", "mlp"),
    "up_proj": ("embed", "mlp"),
    "down_proj": ("mlp", "embed"),
}


def _normal(rngs, shape, dtype, logical):
    value = 0.02 * jax.random.normal(rngs.params(), shape, jnp.float32)
    return nnx.Param(value.astype(dtype), logical=logical)


class Linear(nnx.Module):
    """weight [L, K, N] (dense, or NF4 once quantised) and bias [L, N] or None."""

    def __init__(self, config, module: str, dtype, rngs: nnx.Rngs):
        k, n = linear_shapes(config)[module]
        logical = LINEAR_AXES[module]
        self.module = module
        self.logical = logical
        self.weight = _normal(rngs, (config.layers, k, n), dtype, ("layer", *logical))
        biased = config.qkv_bias and module in ("q_proj", "k_proj", "v_proj")
        self.bias = (
            nnx.Param(
                jnp.zeros((config.layers, n), dtype), logical=("layer", logical[1])
            )
            if biased
            else None
        )

    def __call__(self, x, ctx: "_Context"):
        path = lora.PATHS[self.module]
        index = lora.MODULES.index(self.module)
        keys = None if ctx.keys is None else layers.fold_in_rows(ctx.keys, index)
        adapter = ctx.adapter
        config = None if adapter is None else adapter.config
        factors = None if adapter is None else adapter.params.get(path)
        if factors is not None:
            k, n = self.logical
            factors = lora.LoraParams(
                axes.gather_embed(factors.a, ctx.mesh, None, k),
                axes.gather_embed(factors.b, ctx.mesh, None, n),
            )
        bias = None if self.bias is None else self.bias.get_value()
        weight = axes.gather_embed(self.weight.get_value(), ctx.mesh, *self.logical)
        y = layers.linear(x, weight, bias, factors, config, keys)
        return axes.constrain(
            y,
            ctx.mesh,
            "batch",
            None,
            None if self.logical[1] == "embed" else self.logical[1],
        )


class Norm(nnx.Module):
    """weight [(L,) D] of an RMS norm, or [L, H] of one over each head (axis None: never split)."""

    def __init__(self, shape, eps: float, dtype, axis: str | None = "embed"):
        self.eps = eps
        self.weight = nnx.Param(
            jnp.ones(shape, dtype), logical=("layer", axis)[-len(shape) :]
        )

    def __call__(self, x):
        return layers.rms_norm(x, self.weight.get_value(), self.eps)


class Attention(nnx.Module):
    def __init__(self, config, dtype, rngs):
        self.config = config
        self.q_proj = Linear(config, "q_proj", dtype, rngs)
        self.k_proj = Linear(config, "k_proj", dtype, rngs)
        self.v_proj = Linear(config, "v_proj", dtype, rngs)
        self.o_proj = Linear(config, "o_proj", dtype, rngs)
        norm = lambda: Norm(
            (config.layers, config.head_dim), config.norm_eps, dtype, axis=None
        )
        self.q_norm, self.k_norm = (norm(), norm()) if config.qk_norm else (None, None)

    def __call__(self, x, ctx, layer=None, cache=None):
        c, (b, t, _) = self.config, x.shape
        q = self.q_proj(x, ctx).reshape(b, t, c.heads, c.head_dim)
        k = self.k_proj(x, ctx).reshape(b, t, c.kv_heads, c.head_dim)
        v = self.v_proj(x, ctx).reshape(b, t, c.kv_heads, c.head_dim)
        if self.q_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        inverse = layers.rotary_frequencies(c.rope, c.head_dim)
        q, k = (
            layers.apply_rotary(q, ctx.positions, inverse),
            layers.apply_rotary(k, ctx.positions, inverse),
        )
        if cache is None:
            out, kept = (
                attention.attend(q, k, v, ctx.segments, c.window, ctx.kernel, ctx.mesh),
                (k, v),
            )
        else:
            kept = cache.write(layer, ctx.column, k, v, ctx.mesh)
            out = attention.decode_attention(q, *kept.read(layer), ctx.seen)
        return self.o_proj(out.reshape(b, t, -1), ctx), kept


class MLP(nnx.Module):
    def __init__(self, config, dtype, rngs):
        self.gate_proj = Linear(config, "gate_proj", dtype, rngs)
        self.up_proj = Linear(config, "up_proj", dtype, rngs)
        self.down_proj = Linear(config, "down_proj", dtype, rngs)

    def __call__(self, x, ctx):
        return self.down_proj(
            jax.nn.silu(self.gate_proj(x, ctx)) * self.up_proj(x, ctx), ctx
        )


class Block(nnx.Module):
    """All layers at once: every parameter has a leading layer axis, which the scan removes."""

    def __init__(self, config, dtype, rngs):
        shape = (config.layers, config.embed)
        self.self_attn = Attention(config, dtype, rngs)
        self.mlp = MLP(config, dtype, rngs)
        self.input_layernorm = Norm(shape, config.norm_eps, dtype)
        self.post_attention_layernorm = Norm(shape, config.norm_eps, dtype)

    def __call__(self, x, ctx, layer=None, cache=None):
        """(residual stream, this layer's keys and values [B,T,K,H], or the cache with them written)."""
        mixed, kept = self.self_attn(self.input_layernorm(x), ctx, layer, cache)
        x = x + mixed
        return x + self.mlp(self.post_attention_layernorm(x), ctx), kept


class Embedding(nnx.Module):
    """weight [V, D]: token embedding or output head."""

    def __init__(self, config, dtype, rngs):
        self.weight = _normal(
            rngs, (config.vocab, config.embed), dtype, ("vocab", "embed")
        )


@dataclasses.dataclass(frozen=True)
class _Context:
    """What a layer needs besides the residual stream; column and seen only beside a cache."""

    positions: jax.Array
    adapter: lora.Adapter | None  # of this layer
    mesh: Mesh | None
    keys: jax.Array | None = None
    segments: jax.Array | None = None
    kernel: str = "xla"
    column: jax.Array | None = None
    seen: jax.Array | None = None


def _layer(x, adapter, block, index, rows, compute: ComputeConfig):
    """The residual stream after one layer. rows: positions and segments [B,T], and each row's dropout key or None."""
    positions, segments, keys = rows
    layer_keys = None if keys is None else layers.fold_in_rows(keys, index)
    return block(
        x,
        _Context(
            positions, adapter, compute.mesh, layer_keys, segments, compute.kernel
        ),
    )[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _accumulating(compute, grad_accum, adapter, x, blocks, rows):
    """All layers. The gradient with respect to the adapter is added to `grad_accum`, a layer at a time, in its own memory; autodiff
    would hold it beside the sum of earlier ones. x has a gradient too, the frozen base has none.
    """
    return _accumulating_forward(compute, grad_accum, adapter, x, blocks, rows)[0]


def _accumulating_forward(compute, grad_accum, adapter, x, blocks, rows):
    def body(x, inputs):
        return _layer(x, *inputs, rows, compute), x

    out, before = jax.lax.scan(body, x, (adapter, blocks, _indices(adapter)))
    return out, (before, grad_accum, adapter, blocks, rows)


def _accumulating_backward(compute, saved, cotangent):
    before, grad_accum, adapter, blocks, rows = saved

    def body(carry, inputs):
        cotangent, total = carry
        x, factors, block, index = inputs
        _, pull = jax.vjp(
            lambda x, factors: _layer(x, factors, block, index, rows, compute),
            x,
            factors,
        )
        cotangent, part = pull(cotangent)
        return (
            cotangent,
            jax.tree.map(lambda t, p: t.at[index].add(p), total, part),
        ), None

    inputs = (before, adapter, blocks, _indices(adapter))
    (cotangent, total), _ = jax.lax.scan(
        body, (cotangent, grad_accum), inputs, reverse=True
    )
    return None, total, cotangent, None, None


_accumulating.defvjp(_accumulating_forward, _accumulating_backward)


def _indices(adapter) -> jax.Array:
    return jnp.arange(len(jax.tree.leaves(adapter)[0]))


class Transformer(nnx.Module):
    """A decoder-only language model of `config`.

    Parameters carry their logical axes as metadata `logical`. Linear weights may be replaced by NF4.
    """

    def __init__(self, config: configs.Config, rngs: nnx.Rngs, dtype=jnp.float32):
        self.config = config
        self.embed_tokens = Embedding(config, dtype, rngs)
        self.layers = Block(config, dtype, rngs)
        self.norm = Norm((config.embed,), config.norm_eps, dtype)
        self.lm_head = None if config.tied else Embedding(config, dtype, rngs)

    def __call__(
        self,
        tokens,
        segments,
        positions,
        adapter: lora.Adapter | None = None,
        keys=None,
        compute: ComputeConfig = ComputeConfig(),
        tap: Callable | None = None,
        grad_accum: lora.Adapter | None = None,
    ):
        """Hidden states after the final norm, [B,T,D] (Hugging Face's hidden_states[-1]).

        tokens, segments, positions: int [B,T]; segment 0 is padding. adapter: None is the bare model.
        keys [B]: each row's dropout key, None for evaluation. With `tap`, also returns tap(residual stream) of the
        embedding and of every layer but the last, stacked as [L, ...] (Hugging Face's hidden_states[:-1]).
        With `grad_accum`, a tree like adapter, and no tap, the gradient with respect to adapter comes added to it, and nothing else
        of the model has one.
        """
        x = self._embed(tokens, compute)

        if grad_accum is not None:
            return self.norm(
                _accumulating(
                    compute,
                    grad_accum,
                    adapter,
                    x,
                    self.layers,
                    (positions, segments, keys),
                )
            )

        def body(x, inputs):
            factors, block, index = inputs
            # Tied to the layer, masks and rotations are recomputed in it; otherwise JAX hoists their
            # [B,N,T,S] broadcasts out of the scan and keeps them for the gradient.
            local, _ = jax.lax.optimization_barrier(((positions, segments), index))
            return _layer(
                x, factors, block, index, (*local, keys), compute
            ), None if tap is None else tap(x)

        inputs = (adapter, self.layers, jnp.arange(self.config.layers))
        x, taps = jax.lax.scan(jax.checkpoint(body, prevent_cse=False), x, inputs)
        x = self.norm(x)
        return x if tap is None else (x, taps)

    def prefill(
        self,
        tokens,
        segments,
        positions,
        adapter: lora.Adapter | None = None,
        compute: ComputeConfig = ComputeConfig(),
    ):
        """Runs packed prompts: (hidden states [B,T,D] after the final norm, keys, values [L,B,T,K,H]).

        tokens, segments, positions: int [B,T] as in a forward pass.
        """
        x = self._embed(tokens, compute)

        def body(x, inputs):
            block, factors = inputs
            return block(
                x,
                _Context(
                    positions,
                    factors,
                    compute.mesh,
                    segments=segments,
                    kernel=compute.kernel,
                ),
            )

        x, (k, v) = jax.lax.scan(body, x, (self.layers, adapter))
        return self.norm(x), k, v

    def decode_step(
        self,
        tokens,
        start,
        column,
        cache: caches.Cache,
        adapter: lora.Adapter | None = None,
        compute: ComputeConfig = ComputeConfig(),
        blocks=None,
    ):
        """Runs one more column of left-padded rows: (hidden states [B,D] after the final norm, cache).

        tokens int [B] go to column `column` (traced), for which the cache has room; start int [B] is each row's first real
        column, so a position is its column - start, and columns before it are never seen. blocks: `unstacked`'s, run one by
        one in place of the scan, on a cache whose layers are apart.
        """
        columns = jnp.broadcast_to(
            jnp.arange(cache.columns), (len(tokens), cache.columns)
        )
        at = jnp.full((len(tokens), 1), column)
        seen = attention.attention_mask(
            jnp.ones_like(at),
            (columns >= start[:, None]).astype(at.dtype),
            at,
            columns,
            self.config.window,
        )[:, 0, 0]
        x = self._embed(tokens[:, None], compute)

        def body(carry, inputs):
            block, factors, layer = inputs
            ctx = _Context(
                at - start[:, None],
                factors,
                compute.mesh,
                column=column,
                seen=seen,
            )
            return block(carry[0], ctx, layer, carry[1]), None

        if blocks is None:
            (x, cache), _ = jax.lax.scan(
                body, (x, cache), (self.layers, adapter, jnp.arange(self.config.layers))
            )
            return self.norm(x[:, 0]), cache
        carry = x, cache
        for layer, block in enumerate(blocks):
            carry, _ = body(
                carry, (block, jax.tree.map(lambda f: f[layer], adapter), layer)
            )
        return self.norm(carry[0][:, 0]), carry[1]

    def _embed(self, tokens, compute: ComputeConfig):
        """tokens [B,T] -> [B,T,D]. On a mesh rows are looked up where the table's columns lie: the table is not moved."""
        table, mesh = self.embed_tokens.weight.get_value(), compute.mesh
        if mesh is None:
            return table[tokens].astype(compute.dtype)
        found = table[axes.constrain(tokens, mesh, "replica", None)].astype(
            compute.dtype
        )
        return axes.constrain(
            axes.constrain(found, mesh, "replica", None, "embed"),
            mesh,
            "batch",
            None,
            None,
        )

    def head(self) -> jax.Array:
        """The output matrix [V, D]: the embedding itself when tied."""
        return (self.lm_head or self.embed_tokens).weight.get_value()

    def logits(self, hidden) -> jax.Array:
        """hidden [..., D] -> float32 logits [..., V]."""
        head = self.head().astype(hidden.dtype)
        if (
            hidden.ndim == 2
            and hidden.dtype == jnp.float32
            and jax.default_backend() == "cpu"
        ):
            return layers.transposed_matmul(head, hidden)
        precision = "highest" if hidden.dtype == jnp.float32 else None
        return jnp.einsum(
            "...d,vd->...v",
            hidden,
            head,
            precision=precision,
            preferred_element_type=jnp.float32,
        )


def abstract(config: configs.Config, dtype=jnp.bfloat16) -> Transformer:
    """The model as ShapeDtypeStructs: nothing is allocated, whatever its size."""
    return jax.eval_shape(lambda: Transformer(config, nnx.Rngs(0), dtype))


def parameter_count(config: configs.Config) -> int:
    """Number of parameters, head counted once when tied."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract(config)))


def unstack_layers(model: Transformer, dtype) -> tuple[Block, ...]:
    """The layers one by one, linear weights `OutputsFirst` in dtype: a copy of all of them.

    For decoding on a CPU, where a scan copies every layer's weights out of their stack at every step.
    """
    return tuple(
        _unstacked_block(model.layers, index, dtype)
        for index in range(model.config.layers)
    )


@functools.partial(jax.jit, static_argnames="dtype")
def _unstacked_block(stack: Block, index, dtype) -> Block:
    block = jax.tree.map(
        lambda x: jax.lax.dynamic_index_in_dim(x, index, 0, keepdims=False), stack
    )
    for path in lora.PATHS.values():
        group, module = path.split(".")
        param = getattr(getattr(block, group), module).weight
        param.set_value(
            layers.TransposedWeight(layers.dense_weight(param.get_value(), dtype).T)
        )
    return block


def to_dense(
    model: Transformer, dtype, adapter: lora.Adapter | None = None
) -> Transformer:
    """The model with every linear weight dense in dtype, a layer decoded at a time: the very values NF4 stands for.

    With an adapter, W + (alpha / rank) A' B instead, added in float32 and cast once (PEFT's merge_and_unload).
    """
    result = jax.tree.map(lambda x: x, model)
    for module, path in lora.PATHS.items():
        group, _ = path.split(".")
        param = getattr(getattr(result.layers, group), module).weight
        factors = None if adapter is None else adapter.params.get(path)
        config = None if adapter is None else adapter.config
        param.set_value(_dense_layers(param.get_value(), factors, dtype, config))
    return result


@functools.partial(jax.jit, static_argnames=("dtype", "config"))
def _dense_layers(weight, factors, dtype, config):
    def one(inputs):
        w, f = inputs
        w = layers.dense_weight(w, jnp.float32)
        return (w if f is None else w + lora.delta_weight(f, config)).astype(dtype)

    return jax.lax.map(one, (weight, factors))
