"""The decoder: one scan over the layers, for training, prefill and decoding."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import accumulation, attention, blocks, layers
from jaxent.model import cache as caches
from jaxent.model import config as configs


@dataclasses.dataclass(frozen=True)
class ComputeConfig:
    """How to compute.

    Attributes:
        dtype: dtype of activations and matmuls.
        kernel: attention kernel, one of `attention.KERNELS`.
        mesh: mesh of the arrays, or None; typed loosely, for plans have meshes
            without devices.
        remat: what a gradient computes again: "full", all of a layer but its input;
            "none", only what is cheap: norms, rotations, silu and dropout.
    """

    dtype: Any = jnp.float32
    kernel: str = "xla"
    mesh: Any = None
    remat: str = "full"

    def __post_init__(self):
        if self.kernel not in attention.KERNELS:
            raise ValueError(
                f"attention kernel {self.kernel!r}: "
                f"expected one of {', '.join(attention.KERNELS)}"
            )


def default_compute(
    dtype: str | None = None, mesh: Mesh | None = None
) -> ComputeConfig:
    """The fastest way to compute on the default backend.

    Args:
        dtype: dtype of activations. The default is bfloat16 on accelerators and float32
            on CPU, where bfloat16 matmuls are slower.
        mesh: mesh of the arrays, or None.

    Returns:
        dtype, mesh and the fastest attention kernel for them.
    """
    default = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    chosen = jnp.dtype(dtype or default)
    return ComputeConfig(chosen, attention.default_kernel(chosen), mesh)


def default_pass_tokens(backend: str | None = None) -> int:
    """Tokens that a pass without gradient runs at a time.

    Matmuls of so many rows fill an accelerator, and a 32B model's activations of them
    take 0.5 GB. A CPU's caches hold no more than a quarter of that.

    Args:
        backend: "cpu", "gpu" or "tpu"; None for the default backend.

    Returns:
        Number of tokens.
    """
    return 2048 if (backend or jax.default_backend()) == "cpu" else 8192


class Transformer(nnx.Module):
    """A decoder-only language model.

    Parameters carry their logical axes as metadata `logical`. Linear weights may be
    replaced by NF4.

    Args:
        config: shapes and constants.
        rngs: source of the initial parameters.
        dtype: dtype of the parameters.

    Example:
        >>> config = configs.from_dict(
        ...     {
        ...         "model_type": "llama",
        ...         "vocab_size": 8,
        ...         "hidden_size": 4,
        ...         "intermediate_size": 8,
        ...         "num_hidden_layers": 1,
        ...         "num_attention_heads": 2,
        ...     }
        ... )
        >>> model = Transformer(config, nnx.Rngs(0))
        >>> tokens, segments = jnp.array([[3, 1, 4]]), jnp.ones((1, 3), int)
        >>> hidden = model(tokens, segments, positions=jnp.arange(3)[None])
        >>> hidden.shape, model.logits(hidden).shape
        ((1, 3, 4), (1, 3, 8))
    """

    def __init__(self, config: configs.Config, rngs: nnx.Rngs, dtype=jnp.float32):
        self.config = config
        self.embed_tokens = blocks.Embedding(config, dtype, rngs)
        self.layers = blocks.Block(config, dtype, rngs)
        self.norm = blocks.Norm((config.embed,), config.norm_eps, dtype)
        self.lm_head = None if config.tied else blocks.Embedding(config, dtype, rngs)

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
        """Hidden states after the final norm (Hugging Face's hidden_states[-1]).

        Args:
            tokens: int [B, T].
            segments: int [B, T]; 0 is padding.
            positions: int [B, T].
            adapter: None is the bare model.
            keys: uint32 [B, T], each token's dropout key; None for evaluation.
            compute: dtype, attention kernel and mesh.
            tap: applied to the residual stream of the embedding and of every layer but
                the last (Hugging Face's hidden_states[:-1]); its results are returned
                too, stacked as [L, ...].
            grad_accum: a tree like adapter; not with tap. Autodiff then returns
                grad_accum plus the gradient as the gradient with respect to adapter,
                and nothing else of the model has a gradient.

        Returns:
            [B, T, D], or a pair of it and the results of tap.
        """
        x = self._embed(tokens, compute)
        if grad_accum is not None and compute.remat == "full":
            rows = (positions, segments, keys)
            return self.norm(
                accumulation.apply_layers(
                    compute, grad_accum, adapter, x, self.layers, rows
                )
            )

        if grad_accum is not None:
            adapter = accumulation.add_to_gradient(adapter, grad_accum)

        def body(x, inputs):
            factors, block, index = inputs
            # Tied to the layer, masks and rotations are recomputed in it; otherwise JAX
            # hoists their [B, N, T, S] broadcasts out of the scan and keeps them for
            # the gradient.
            local, _ = jax.lax.optimization_barrier(((positions, segments), index))
            rows = (*local, keys)
            out = accumulation.apply_layer(x, factors, block, index, rows, compute)
            return out, None if tap is None else tap(x)

        inputs = (adapter, self.layers, jnp.arange(self.config.layers))
        policy = None
        if compute.remat == "none":
            policy = jax.checkpoint_policies.save_only_these_names(layers.KEPT)
        body = jax.checkpoint(body, prevent_cse=False, policy=policy)
        x, taps = jax.lax.scan(body, x, inputs)
        x = self.norm(x)
        return x if tap is None else (x, taps)

    def prefill(
        self,
        tokens,
        segments,
        positions,
        adapter: lora.Adapter | None = None,
        compute: ComputeConfig = ComputeConfig(),
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Runs packed prompts and returns what a cache is filled with.

        Args:
            tokens: int [B, T].
            segments: int [B, T]; 0 is padding.
            positions: int [B, T].
            adapter: None is the bare model.
            compute: dtype, attention kernel and mesh.

        Returns:
            Hidden states [B, T, D] after the final norm, and keys and values
            [L, B, T, K, H].
        """
        x = self._embed(tokens, compute)

        def body(x, inputs):
            block, factors = inputs
            ctx = blocks.LayerContext(
                positions,
                factors,
                compute.mesh,
                segments=segments,
                kernel=compute.kernel,
            )
            return block(x, ctx)

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
        unstacked: tuple[blocks.Block, ...] | None = None,
    ) -> tuple[jax.Array, caches.Cache]:
        """Runs one more column of left-padded rows.

        Args:
            tokens: int [B], written to the column.
            start: int [B], each row's first real column. A position is its column minus
                start, and columns before start are never seen.
            column: int scalar (traced), for which the cache has room.
            cache: keys and values of the columns before.
            adapter: None is the bare model.
            compute: dtype and mesh.
            unstacked: `convert.unstack_layers`'s blocks, run one by one instead of the
                scan, on a cache made with per_layer=True.

        Returns:
            Hidden states [B, D] after the final norm, and the cache.
        """
        rows = len(tokens)
        columns = jnp.broadcast_to(jnp.arange(cache.columns), (rows, cache.columns))
        at = jnp.full((rows, 1), column)
        segment = jnp.ones_like(at)
        real = (columns >= start[:, None]).astype(at.dtype)
        window = self.config.window
        mask = attention.attention_mask(segment, real, at, columns, window)
        seen = mask[:, 0, 0]
        x = self._embed(tokens[:, None], compute)

        def body(carry, inputs):
            x, cache = carry
            block, factors, layer = inputs
            ctx = blocks.LayerContext(
                at - start[:, None],
                factors,
                compute.mesh,
                column=column,
                seen=seen,
            )
            return block(x, ctx, layer, cache), None

        carry = x, cache
        if unstacked is None:
            inputs = (self.layers, adapter, jnp.arange(self.config.layers))
            carry, _ = jax.lax.scan(body, carry, inputs)
        else:
            for layer, block in enumerate(unstacked):
                factors = _select_layer(adapter, layer)
                carry, _ = body(carry, (block, factors, layer))
        x, cache = carry
        return self.norm(x[:, 0]), cache

    def _embed(self, tokens, compute: ComputeConfig):
        """tokens [B, T] -> [B, T, D].

        On a mesh each device looks up rows in its own columns of the table: the table
        is not gathered.
        """
        table, mesh = self.embed_tokens.weight.get_value(), compute.mesh
        if mesh is None:
            return table[tokens].astype(compute.dtype)
        tokens = axes.constrain(tokens, mesh, "replica", None)
        x = table[tokens].astype(compute.dtype)
        x = axes.constrain(x, mesh, "replica", None, "embed")
        return axes.constrain(x, mesh, "batch", None, None)

    def head(self) -> jax.Array:
        """The output matrix [V, D]: the embedding itself when tied."""
        return (self.lm_head or self.embed_tokens).weight.get_value()

    def logits(self, hidden) -> jax.Array:
        """Logits of the next token.

        Args:
            hidden: [..., D], after the final norm.

        Returns:
            float32 [..., V].
        """
        head = self.head().astype(hidden.dtype)
        is_float32 = hidden.dtype == jnp.float32
        if hidden.ndim == 2 and is_float32 and jax.default_backend() == "cpu":
            return layers.transposed_matmul(head, hidden)
        return jnp.einsum(
            "...d,vd->...v",
            hidden,
            head,
            precision="highest" if is_float32 else None,
            preferred_element_type=jnp.float32,
        )


def _select_layer(adapter: lora.Adapter | None, layer: int) -> lora.Adapter | None:
    """One layer's factors, without a layer axis."""
    return jax.tree.map(lambda x: x[layer], adapter)


def abstract(config: configs.Config, dtype=jnp.bfloat16) -> Transformer:
    """The model as ShapeDtypeStructs: nothing is allocated, whatever its size.

    Example:
        >>> from jaxent.model import known_configs
        >>> config = known_configs.require_config("Qwen/Qwen2.5-Coder-32B")
        >>> abstract(config).head().shape
        (152064, 5120)
    """
    return jax.eval_shape(lambda: Transformer(config, nnx.Rngs(0), dtype))


def parameter_count(config: configs.Config) -> int:
    """Number of parameters; a tied head counts once.

    Example:
        >>> from jaxent.model import known_configs
        >>> parameter_count(known_configs.require_config("Qwen/Qwen3-0.6B"))
        596049920
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract(config)))
