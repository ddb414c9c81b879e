"""The next token of each row from its logits: greedy, or sampled with top-p."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

_NEAR_TIE_ULPS = 4  # units in the last place of the dtype that the logits came from


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How to choose a token.

    Attributes:
        temperature: Divides the logits; 0 is greedy.
        top_p: Keeps the fewest most likely tokens whose probabilities reach it.

    Raises:
        ValueError: If a value is out of range.

    Example:
        >>> Sampling(temperature=0.8, top_p=0.95)
        Sampling(temperature=0.8, top_p=0.95)
    """

    temperature: float = 0.0
    top_p: float = 1.0

    def __post_init__(self):
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature {self.temperature}, top_p {self.top_p}: expected "
                "temperature >= 0, 0 < top_p <= 1"
            )


def choose(logits: jax.Array, keys: jax.Array | None, sampling: Sampling) -> jax.Array:
    """The next token of each row.

    Args:
        logits: float32 [B, V].
        keys: A PRNG key for each row [B]; unused when greedy.
        sampling: How to choose.

    Returns:
        Token ids, int32 [B].

    Raises:
        ValueError: If it should sample without keys.

    Example:
        >>> logits = jnp.array([[0.0, 3.0, 2.0], [5.0, 3.0, 2.0]])
        >>> choose(logits, None, Sampling()).tolist()
        [1, 0]
    """
    if sampling.temperature == 0:
        return logits.argmax(-1).astype(jnp.int32)
    if keys is None:
        raise ValueError(
            f"temperature {sampling.temperature} without keys: expected a PRNG key for "
            "each row"
        )
    kept = nucleus(logits / sampling.temperature, sampling.top_p)
    return jax.vmap(jax.random.categorical)(keys, kept).astype(jnp.int32)


def nucleus(logits: jax.Array, top_p: float) -> jax.Array:
    """Logits with all but the top-p nucleus at -inf.

    A token is dropped where it and the tokens less likely than it hold at most
    1 - top_p of the probability. The most likely token is always kept. As transformers'
    TopPLogitsWarper (Holtzman et al. 2020).

    Args:
        logits: float32 [B, V].
        top_p: The probability to keep, at least.

    Returns:
        float32 [B, V].

    Example:
        >>> nucleus(jnp.log(jnp.array([[0.5, 0.25, 0.25]])), 0.5)[0, 1:].tolist()
        [-inf, -inf]
    """
    if top_p == 1:
        return logits
    order = jnp.argsort(logits, axis=-1)
    ascending = jnp.take_along_axis(logits, order, -1)
    dropped = jnp.cumsum(jax.nn.softmax(ascending, -1), -1) <= 1 - top_p
    dropped = dropped.at[:, -1].set(False)
    dropped = jnp.take_along_axis(dropped, jnp.argsort(order, -1), -1)
    return jnp.where(dropped, -jnp.inf, logits)


def near_tie(logits: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Whether arithmetic in `dtype` could have swapped the two best logits.

    best - second <= 4 eps(dtype) |best|

    Args:
        logits: float32 [B, V].
        dtype: That of the arithmetic which made the logits.

    Returns:
        bool [B].

    Example:
        >>> logits = jnp.array([[10.0, 9.9, 0.0], [10.0, 9.0, 0.0]])
        >>> near_tie(logits, jnp.bfloat16).tolist()
        [True, False]
    """
    best = logits.max(-1)
    winner = logits.argmax(-1)
    is_winner = jnp.arange(logits.shape[-1])[None, :] == winner[:, None]
    second = jnp.where(is_winner, -jnp.inf, logits).max(-1)
    tolerance = _NEAR_TIE_ULPS * float(jnp.finfo(dtype).eps)
    return best - second <= tolerance * jnp.abs(best)
