"""Multi-output ridge regression of concept labels on activations, leave-one-out in closed form (section 3.2)."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp


@contextlib.contextmanager
def exact():
    """float64 on the CPU, wherever the model runs (TPUs have no float64)."""
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Fit:
    """A ridge fit of N probes and c label columns, rank r. float64.

    gram G = H X X' H [N,N] with H the centring; m = (G + alpha I)^-1 - 11'/(alpha N); c = m Y, so
    that W = X'c [d,c]; directions a [N,r] with u_i = X'a_i the left singular vectors of W;
    singular [r]; v [r,c] the right ones; loo [N,c] leave-one-out predictions.
    """

    gram: jax.Array
    m: jax.Array
    c: jax.Array
    a: jax.Array
    singular: jax.Array
    v: jax.Array
    loo: jax.Array
    alpha: jax.Array


def fit(x, y, rank: int, alpha) -> Fit:
    """Ridge of centred y [N,c] on centred x [N,d] with penalty alpha, and its top `rank` singular directions.

    Leave-one-out residual e_n = c_n / m_nn: exact for refitting and re-centring without probe n
    (equals scikit-learn's Ridge refitted N times).
    """
    n = x.shape[0]
    centred = x - x.mean(0)
    gram = centred @ centred.T
    values, vectors = jnp.linalg.eigh(gram)
    inverse = (vectors / (jnp.maximum(values, 0) + alpha)) @ vectors.T
    m = inverse - 1 / (alpha * n)
    c = m @ y
    _, singular, v = jnp.linalg.svd(centred.T @ c, full_matrices=False)
    singular, v = singular[:rank], v[:rank]
    loo = y - c / jnp.diag(m)[:, None]
    return Fit(gram, m, c, c @ v.T / singular, singular, v, loo, jnp.asarray(alpha))


def without(f: Fit, y, direction) -> jax.Array:
    """Leave-one-out predictions [N,c] refitted with one direction u = X'a, a [N], projected out of x.

    With p = G a, q = m p: m becomes m + q q'/(alpha q'a) (rank one, because u has norm one).
    """
    q = f.m @ (f.gram @ direction)
    weight = 1 / (f.alpha * (q @ direction))
    return y - (f.c + jnp.outer(q, q @ y) * weight) / (jnp.diag(f.m) + q * q * weight)[:, None]
