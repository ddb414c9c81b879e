"""The next token of each row from its logits: greedy, or sampled with temperature and top-p."""

import dataclasses

import jax
import jax.numpy as jnp

_TIE = 4  # best and second best closer than this many units in the last place of the compute dtype: a near tie


@dataclasses.dataclass(frozen=True)
class Sampling:
    """temperature 0 is greedy; top_p keeps the fewest most likely tokens whose probabilities reach it."""

    temperature: float = 0.0
    top_p: float = 1.0

    def __post_init__(self):
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature {self.temperature}, top_p {self.top_p}: expected temperature >= 0, 0 < top_p <= 1"
            )


def choose(logits, keys, sampling: Sampling) -> jax.Array:
    """Token ids int32 [B] from float32 logits [B,V]; keys [B] are unused when greedy."""
    if sampling.temperature == 0:
        return logits.argmax(-1).astype(jnp.int32)
    filtered = nucleus(logits / sampling.temperature, sampling.top_p)
    return jax.vmap(jax.random.categorical)(keys, filtered).astype(jnp.int32)


def nucleus(logits, top_p: float) -> jax.Array:
    """Logits [B,V] with all but the top-p nucleus at -inf: transformers' TopPLogitsWarper.

    A token is dropped where the tokens less likely than it, and it, hold at most 1 - top_p of the probability.
    """
    if top_p == 1:
        return logits
    order = jnp.argsort(logits, axis=-1)
    ascending = jnp.take_along_axis(logits, order, -1)
    dropped = jnp.cumsum(jax.nn.softmax(ascending, -1), -1) <= 1 - top_p
    dropped = dropped.at[:, -1].set(False)
    back = jnp.take_along_axis(dropped, jnp.argsort(order, -1), -1)
    return jnp.where(back, -jnp.inf, logits)


def near_tie(logits, dtype) -> jax.Array:
    """Whether the two best logits [B,V] are so close that arithmetic in dtype could have swapped them: bool [B]."""
    best = logits.max(-1)
    at = logits.argmax(-1)
    second = jnp.where(
        jnp.arange(logits.shape[-1]) == at[:, None], -jnp.inf, logits
    ).max(-1)
    return best - second <= _TIE * float(jnp.finfo(dtype).eps) * jnp.abs(best)
