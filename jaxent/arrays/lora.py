"""LoRA adapters (Hu et al. 2022) as a tree of their own, with PEFT's semantics.

    y = x W + scaling * dropout(x) A' B        A [R, K], B [R, N]

with scaling alpha / rank, or alpha / sqrt(rank) for rank-stabilised LoRA (Kalajdzievski
2023). DoRA (Liu et al. 2024) trains the length of every output's weights too; see
`jaxent.arrays.dora`.

The tree maps a module path inside a layer to its factors, each with a leading layer
axis: {"self_attn.q_proj": LoraParams(a [L, R, K], b [L, R, N]), ...}. The model scans
it over the layers beside the frozen base; None instead of an adapter is the bare model.
The rank is never the last axis, because a TPU pads the last axis to 128.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
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
        bias: float32 [L, N], what is added to x A' B before scaling (PEFT's
            lora_bias), or None.
        magnitude: float32 [L, N], DoRA's lengths of the outputs' weights, or None.
        gain: float32 [L, N], DoRA's magnitude over the length of the changed weights
            where that is computed once (`jaxent.model.convert.with_gains`), or None.
    """

    a: Any
    b: Any
    bias: Any = None
    magnitude: Any = None
    gain: Any = None

    def vectors(self) -> dict[str, Any]:
        """The fields [L, N] that are there, by name."""
        named = {name: getattr(self, name) for name in ("bias", "magnitude", "gain")}
        return {name: value for name, value in named.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """What the numbers of an adapter mean; the defaults are those of section 2.2.

    Attributes:
        rank: R, inner dimension of the factors.
        alpha: numerator of the scaling.
        dropout: probability that an element of a module's input is zeroed.
        modules: adapted linear modules, names out of `MODULES`.
        use_rslora: whether the scaling is alpha / sqrt(rank).
        use_dora: whether the outputs' magnitudes are trained.
    """

    rank: int = 64
    alpha: float = 128.0
    dropout: float = 0.05
    modules: tuple[str, ...] = MODULES
    use_rslora: bool = False
    use_dora: bool = False

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
        """alpha / rank, or alpha / sqrt(rank)."""
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["config"]
)
@dataclasses.dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: its numbers and what they mean.

    Attributes:
        params: {module path inside a layer: LoraParams}, with leading layer axes.
        config: what the factors mean; static under jit.
    """

    params: dict[str, LoraParams]
    config: LoraConfig


def init_adapter(
    key,
    config: LoraConfig,
    layers: int,
    shapes: dict[str, tuple[int, int]],
    norms: Mapping[str, Any] | None = None,
) -> Adapter:
    """Draws PEFT's default initial adapter.

    A ~ U(-1/sqrt(K), 1/sqrt(K)), which is Kaiming with a = sqrt 5, B = 0, and DoRA's
    magnitudes are the lengths of the base's weights: the adapted model computes what
    the bare model computes.

    Args:
        key: JAX random key. A module's factors depend on it and on the module alone.
        config: rank and modules of the adapter.
        layers: L, number of layers.
        shapes: (K, N) of each module, as `blocks.linear_shapes` gives them.
        norms: by module the lengths of the base's weights, float32 [L, N], as
            `convert.weight_norms` gives them; for DoRA only.

    Returns:
        The adapter, its factors in float32.

    Raises:
        ValueError: the adapter is DoRA's and there are no norms.

    Example:
        >>> config = LoraConfig(rank=2, alpha=4.0, modules=("q_proj",))
        >>> adapter = init_adapter(jax.random.key(0), config, 3, {"q_proj": (8, 6)})
        >>> adapter.params["self_attn.q_proj"].a.shape
        (3, 2, 8)
        >>> adapter.params["self_attn.q_proj"].b.shape
        (3, 2, 6)
    """
    if config.use_dora and norms is None:
        raise ValueError("DoRA begins from the lengths of the base's weights: no norms")
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
        magnitude = norms[module] if config.use_dora and norms else None
        params[PATHS[module]] = LoraParams(a.mT, b, magnitude=magnitude)
    return Adapter(params, config)


def delta_weight(factors: LoraParams, config: LoraConfig) -> jax.Array:
    """The dense low-rank change of a weight, scaling A' B, before DoRA's magnitudes.

    Args:
        factors: a [..., R, K] and b [..., R, N].
        config: gives the scaling.

    Returns:
        float32 [..., K, N].

    Example:
        >>> factors = LoraParams(jnp.ones((1, 3)), jnp.full((1, 2), 0.5))
        >>> delta_weight(factors, LoraConfig(rank=1, alpha=4.0)).tolist()
        [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]
    """
    return config.scaling * jnp.matmul(factors.a.mT, factors.b, precision="highest")


def parameter_count(adapter: Adapter) -> int:
    """Number of trained parameters.

    Example:
        >>> factors = LoraParams(jnp.ones((3, 2, 8)), jnp.ones((3, 2, 6)))
        >>> parameter_count(Adapter({"mlp.up_proj": factors}, LoraConfig(rank=2)))
        84
    """
    return sum(leaf.size for leaf in jax.tree.leaves(adapter))
