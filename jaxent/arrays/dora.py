"""DoRA (Liu et al. 2024): the length of every output's weights is trained apart.

    W' = m * (W + scaling A' B) / |W + scaling A' B|        W, W' [K, N], m [N]

with lengths over the inputs K. As in PEFT the divisor has no gradient.
"""

import jax
import jax.numpy as jnp

from jaxent.arrays import lora


def column_norms(weight: jax.Array) -> jax.Array:
    """The length of every output's weights.

    Args:
        weight: float32 [..., K, N].

    Returns:
        float32 [..., N].

    Example:
        >>> column_norms(jnp.array([[3.0, 0.0], [4.0, 2.0]])).tolist()
        [5.0, 2.0]
    """
    return jnp.sqrt(jnp.sum(jnp.square(weight), axis=-2))


def gain(
    weight: jax.Array, factors: lora.LoraParams, config: lora.LoraConfig
) -> jax.Array:
    """What DoRA multiplies every output by, m / |W + scaling A' B|.

    Only the magnitude m has a gradient.

    Args:
        weight: the base's W, float32 [K, N].
        factors: one layer's, with their magnitude.
        config: gives the scaling.

    Returns:
        float32 [N].

    Example:
        >>> factors = lora.LoraParams(
        ...     jnp.zeros((1, 2)), jnp.zeros((1, 1)), magnitude=jnp.array([10.0])
        ... )
        >>> gain(jnp.array([[3.0], [4.0]]), factors, lora.LoraConfig(1)).tolist()
        [2.0]
    """
    changed = weight + lora.delta_weight(factors, config)
    return factors.magnitude / jax.lax.stop_gradient(column_norms(changed))


def merge_weight(
    weight: jax.Array, factors: lora.LoraParams, config: lora.LoraConfig
) -> jax.Array:
    """The weight that computes what base and adapter compute, LoRA's or DoRA's.

    Args:
        weight: the base's W, float32 [K, N].
        factors: one layer's.
        config: gives the scaling.

    Returns:
        float32 [K, N].

    Example:
        >>> factors = lora.LoraParams(
        ...     jnp.ones((1, 2)), jnp.ones((1, 1)), magnitude=jnp.array([10.0])
        ... )
        >>> config = lora.LoraConfig(rank=1, alpha=1.0)
        >>> merge_weight(jnp.array([[2.0], [3.0]]), factors, config).tolist()
        [[6.0], [8.0]]
    """
    changed = weight + lora.delta_weight(factors, config)
    if factors.magnitude is None:
        return changed
    return changed * gain(weight, factors, config)[None, :]
