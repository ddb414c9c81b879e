"""Adam's step with bias corrections as exact as PyTorch's."""

import math

import jax
import jax.numpy as jnp
import optax


def scale_by_adam(
    beta1: float, beta2: float, epsilon: float
) -> optax.GradientTransformation:
    """`optax.scale_by_adam`, its state and all, with `bias_correction`.

    Args:
      beta1: decay of the first moment.
      beta2: decay of the second moment.
      epsilon: added to the root of the second moment.

    Example:
      >>> scale = scale_by_adam(0.9, 0.999, 1e-8)
      >>> parameter = jnp.float32(0)
      >>> update, _ = scale.update(jnp.float32(3), scale.init(parameter))
      >>> float(update.round(6))
      1.0
    """
    inner = optax.scale_by_adam(beta1, beta2, epsilon)

    def update(gradients, state, params=None):
        del params
        count = optax.safe_increment(state.count)
        mu = optax.tree.update_moment(gradients, state.mu, beta1, 1)
        nu = optax.tree.update_moment_per_elem_norm(gradients, state.nu, beta2, 2)
        first = bias_correction(beta1, count)
        second = bias_correction(beta2, count)

        def scale(m, v):
            return (m / first) / (jnp.sqrt(v / second) + epsilon)

        scaled = jax.tree.map(scale, mu, nu)
        return scaled, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(inner.init, update)


def bias_correction(beta: float, count) -> jax.Array:
    """1 - beta^count, to float32's last digits.

    The difference in float32 loses four digits for beta = .999, and Adam's first steps
    with them; PyTorch takes it in float64.

    Args:
      beta: decay of a moment, in [0, 1).
      count: int scalar, the steps done, the present one included.

    Returns:
      A float32 scalar.

    Example:
      >>> print(f"{float(bias_correction(0.999, 1)):.7f}")
      0.0010000
    """
    log = math.log(beta) if beta > 0 else -math.inf
    return -jnp.expm1(jnp.asarray(count, jnp.float32) * log)
