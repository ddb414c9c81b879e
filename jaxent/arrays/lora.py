"""LoRA adapters (Hu et al. 2022) as a tree of their own, with PEFT's semantics.

    y = x W + (alpha / rank) * dropout(x) A' B        A [R, K], B [R, N]

The tree maps a module path inside a layer to its factors, each with a leading layer axis:
{"self_attn.q_proj": Factors(a [L, R, K], b [L, R, N]), ...}. It is handed to the model's layer
scan beside the frozen base; None is the bare model. The rank is never the last axis: a TPU pads that one to 128.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ATTENTION = MODULES[:4]
PATHS = {m: f"{'self_attn' if m in ATTENTION else 'mlp'}.{m}" for m in MODULES}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LoraParams:
    """Low-rank factors of one module in every layer: a [L, R, K], b [L, R, N], float32."""

    a: jax.Array
    b: jax.Array


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """What an adapter is, apart from its numbers (section 2.2: rank 64, alpha 128, all linear, dropout .05)."""

    rank: int = 64
    alpha: float = 128.0
    dropout: float = 0.05
    modules: tuple[str, ...] = MODULES

    def __post_init__(self):
        unknown = [m for m in self.modules if m not in MODULES]
        if unknown or not self.modules or len(set(self.modules)) != len(self.modules):
            raise ValueError(
                f"LoRA modules {','.join(self.modules) or '(none)'}: expected distinct names out of {','.join(MODULES)}"
            )
        if self.rank < 1 or not 0 <= self.dropout < 1 or not self.alpha > 0:
            raise ValueError(
                f"LoRA rank {self.rank}, alpha {self.alpha}, dropout {self.dropout}: "
                "expected rank >= 1, alpha > 0, 0 <= dropout < 1"
            )

    @property
    def scaling(self) -> float:
        return self.alpha / self.rank


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["config"]
)
@dataclasses.dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: its numbers and what they mean.

    params: {module path inside a layer: LoraParams}, each with a leading layer axis.
    config: rank, alpha, dropout and modules; static under jit.
    """

    params: dict[str, LoraParams]
    config: LoraConfig


def init_adapter(
    key, config: LoraConfig, layers: int, shapes: dict[str, tuple[int, int]]
) -> Adapter:
    """PEFT's default initial adapter: A ~ U(-1/sqrt(K), 1/sqrt(K)) (Kaiming with a = sqrt 5), B = 0.

    shapes: (K, N) of each module, as `transformer.linear_shapes` gives them.
    """
    params = {}
    for index, module in enumerate(MODULES):
        if module not in config.modules:
            continue
        k, n = shapes[module]
        bound = 1 / math.sqrt(k)
        a = jax.random.uniform(
            jax.random.fold_in(key, index),
            (layers, k, config.rank),
            jnp.float32,
            -bound,
            bound,
        ).mT
        params[PATHS[module]] = LoraParams(
            a, jnp.zeros((layers, config.rank, n), jnp.float32)
        )
    return Adapter(params, config)


def delta_weight(factors: LoraParams, config: LoraConfig) -> jax.Array:
    """The dense change of the weight, (alpha / rank) A' B: [..., K, N] float32."""
    return config.scaling * jnp.matmul(factors.a.mT, factors.b, precision="highest")


def parameter_count(adapter) -> int:
    """Number of trained parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(adapter))
