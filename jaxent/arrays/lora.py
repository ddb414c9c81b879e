"""LoRA adapters (Hu et al. 2022) as a tree of their own, with PEFT's semantics.

    y = x W + (alpha / rank) * dropout(x) A' B        A [R, K], B [R, N]

The tree maps a module path inside a layer to its factors, each with a leading layer
axis: {"self_attn.q_proj": LoraParams(a [L, R, K], b [L, R, N]), ...}. The model scans
it over the layers beside the frozen base; None instead of an adapter is the bare model.
The rank is never the last axis, because a TPU pads the last axis to 128.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ATTENTION = MODULES[:4]
PATHS = {m: f"{'self_attn' if m in ATTENTION else 'mlp'}.{m}" for m in MODULES}
"""Name of a linear module -> its path inside a layer."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LoraParams:
    """Low-rank factors of one module in every layer.

    The fields are arrays; in trees of shardings or of shapes they hold those instead.

    Attributes:
        a: float32 [L, R, K].
        b: float32 [L, R, N].
    """

    a: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """What the numbers of an adapter mean; the defaults are those of section 2.2.

    Attributes:
        rank: R, inner dimension of the factors.
        alpha: numerator of the scaling alpha / rank.
        dropout: probability that an element of a module's input is zeroed.
        modules: adapted linear modules, names out of `MODULES`.
    """

    rank: int = 64
    alpha: float = 128.0
    dropout: float = 0.05
    modules: tuple[str, ...] = MODULES

    def __post_init__(self):
        unknown = [m for m in self.modules if m not in MODULES]
        if unknown or not self.modules or len(set(self.modules)) != len(self.modules):
            raise ValueError(
                f"LoRA modules {','.join(self.modules) or '(none)'}: "
                f"expected distinct names out of {','.join(MODULES)}"
            )
        if self.rank < 1 or not 0 <= self.dropout < 1 or not self.alpha > 0:
            raise ValueError(
                f"LoRA rank {self.rank}, alpha {self.alpha}, dropout {self.dropout}: "
                "expected rank >= 1, alpha > 0, 0 <= dropout < 1"
            )

    @property
    def scaling(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["config"]
)
@dataclasses.dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: its numbers and what they mean.

    Attributes:
        params: {module path inside a layer: LoraParams}, with leading layer axes.
        config: rank, alpha, dropout and modules; static under jit.
    """

    params: dict[str, LoraParams]
    config: LoraConfig


def init_adapter(
    key, config: LoraConfig, layers: int, shapes: dict[str, tuple[int, int]]
) -> Adapter:
    """Draws PEFT's default initial adapter.

    A ~ U(-1/sqrt(K), 1/sqrt(K)), which is Kaiming with a = sqrt 5, and B = 0: the
    adapted model computes what the bare model computes.

    Args:
        key: JAX random key. A module's factors depend on it and on the module alone.
        config: rank and modules of the adapter.
        layers: L, number of layers.
        shapes: (K, N) of each module, as `blocks.linear_shapes` gives them.

    Returns:
        The adapter, its factors in float32.

    Example:
        >>> config = LoraConfig(rank=2, alpha=4.0, modules=("q_proj",))
        >>> adapter = init_adapter(jax.random.key(0), config, 3, {"q_proj": (8, 6)})
        >>> adapter.params["self_attn.q_proj"].a.shape
        (3, 2, 8)
        >>> adapter.params["self_attn.q_proj"].b.shape
        (3, 2, 6)
    """
    params = {}
    for index, module in enumerate(MODULES):
        if module not in config.modules:
            continue
        k, n = shapes[module]
        bound = 1 / math.sqrt(k)
        module_key = jax.random.fold_in(key, index)
        shape = (layers, k, config.rank)
        a = jax.random.uniform(module_key, shape, jnp.float32, -bound, bound)
        b = jnp.zeros((layers, config.rank, n), jnp.float32)
        params[PATHS[module]] = LoraParams(a.mT, b)
    return Adapter(params, config)


def delta_weight(factors: LoraParams, config: LoraConfig) -> jax.Array:
    """The dense change of a weight, (alpha / rank) A' B.

    Args:
        factors: a [..., R, K] and b [..., R, N].
        config: gives alpha and rank.

    Returns:
        float32 [..., K, N].

    Example:
        >>> factors = LoraParams(jnp.ones((1, 3)), jnp.full((1, 2), 0.5))
        >>> delta_weight(factors, LoraConfig(rank=1, alpha=4.0)).tolist()
        [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]
    """
    return config.scaling * jnp.matmul(factors.a.mT, factors.b, precision="highest")


def merge_weight(weight, factors: LoraParams, config: LoraConfig) -> jax.Array:
    """A weight with its factors added, as PEFT's merge_and_unload computes it.

    Args:
        weight: W [..., K, N].
        factors: a [..., R, K] and b [..., R, N].
        config: gives alpha and rank.

    Returns:
        float32 [..., K, N], W + (alpha / rank) A' B, not rounded to W's dtype yet.

    Example:
        >>> factors = LoraParams(jnp.ones((1, 2)), jnp.full((1, 2), 0.5))
        >>> merge_weight(jnp.eye(2), factors, LoraConfig(rank=1, alpha=4.0)).tolist()
        [[3.0, 2.0], [2.0, 3.0]]
    """
    return weight.astype(jnp.float32) + delta_weight(factors, config)


def parameter_count(adapter: Adapter) -> int:
    """Number of trained parameters.

    Example:
        >>> factors = LoraParams(jnp.ones((3, 2, 8)), jnp.ones((3, 2, 6)))
        >>> parameter_count(Adapter({"mlp.up_proj": factors}, LoraConfig(rank=2)))
        84
    """
    return sum(leaf.size for leaf in jax.tree.leaves(adapter))
