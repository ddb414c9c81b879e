"""Multi-output ridge regression of concept labels on activations, leave-one-out in closed form (section 3.2).

Nothing here may be vmapped where it calls LAPACK (eigh, svd, solve): jaxlib runs a batched call on the very
threads that wait for it, and two at once stop for ever. `jax.lax.map` does the same work safely.
"""

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

    y [N,c]; gram G = H X X' H [N,N] with H the centring; values [N], vectors [N,N] its
    eigen-decomposition; m = H (G + alpha I)^-1 H = (G + alpha I)^-1 - 11'/(alpha N); inside [N,N], its part within the
    range of G; hat = m G; c = m Y; b = inside Y, so that W = X'c = X'b [d,c]; directions a [N,r] with u_i = X'a_i the
    left singular vectors of W; singular [r]; v [r,c] the right ones; loo [N,c] leave-one-out predictions.

    A direction or a basis is always given by its coefficients a on the centred probes, u = X'a, taken within the range of
    G: where N > d the rest of c is of order 1 / alpha, and its rounding would drown q'a in `without`.
    """

    y: jax.Array
    gram: jax.Array
    values: jax.Array
    vectors: jax.Array
    m: jax.Array
    inside: jax.Array
    hat: jax.Array
    c: jax.Array
    b: jax.Array
    a: jax.Array
    singular: jax.Array
    v: jax.Array
    loo: jax.Array
    alpha: jax.Array


def fit(x, y, rank: int, alpha, scale_free: bool = False) -> Fit:
    """Ridge of centred y [N,c] on centred x [N,d] with penalty alpha, and its top `rank` singular directions.

    scale_free: the penalty is alpha tr(G) / (N - 1) instead, which follows the activations' scale.
    Leave-one-out residual e_n = c_n / m_nn: exact for refitting and re-centring without probe n
    (equals scikit-learn's Ridge refitted N times; the scale-free penalty is that of all probes).
    """
    n = x.shape[0]
    centred = x - x.mean(0)
    gram = centred @ centred.T
    alpha = jnp.asarray(alpha, x.dtype) * (
        jnp.trace(gram) / (n - 1) if scale_free else 1
    )
    values, vectors = jnp.linalg.eigh(gram)
    values = jnp.where(values > n * jnp.finfo(x.dtype).eps * values[-1], values, 0)
    centred_vectors = vectors - vectors.mean(
        0
    )  # subtracting 11'/(alpha N) instead would cancel badly
    spectral = lambda weights: (centred_vectors * weights) @ centred_vectors.T
    m, inside = (
        spectral(1 / (values + alpha)),
        spectral((values > 0) / (values + alpha)),
    )
    c, b = m @ y, inside @ y
    _, singular, v = jnp.linalg.svd(centred.T @ b, full_matrices=False)
    singular, v = singular[:rank], v[:rank]
    loo = y - c / jnp.diag(m)[:, None]
    hat = spectral(values / (values + alpha))
    return Fit(
        y,
        gram,
        values,
        vectors,
        m,
        inside,
        hat,
        c,
        b,
        b @ v.T / singular,
        singular,
        v,
        loo,
        alpha,
    )


def span(f: Fit, columns: slice, rank: int) -> jax.Array:
    """An orthonormal basis a [N,rank] of the span of some of W's columns: (X'a)'(X'a) = I.

    Directions with a singular value below 1e-6 of W's largest do not count: their coefficients are 0.
    """
    b = f.b[:, columns]
    squares, v = jnp.linalg.eigh(b.T @ f.gram @ b)
    squares, v = squares[::-1][:rank], v[:, ::-1][:, :rank]
    counts = squares > (1e-6 * f.singular[0]) ** 2
    return b @ v * jnp.where(counts, 1 / jnp.sqrt(jnp.where(counts, squares, 1)), 0)


def without(f: Fit, a) -> jax.Array:
    """Leave-one-out predictions [N,c], every fold refitted with the orthonormal directions a [N,s] projected out of x.

    With Q = m G a: m becomes m + Q (alpha Q'a)^-1 Q'.
    """
    q = f.hat @ a
    weighted = jnp.linalg.solve(f.alpha * (q.T @ a), q.T)  # [s,N]
    leverage = jnp.diag(f.m) + (q * weighted.T).sum(1)
    return f.y - (f.c + q @ (weighted @ f.y)) / leverage[:, None]


def projected(f: Fit, a) -> jax.Array:
    """Leave-one-out predictions [N,c] with the orthonormal directions a [N,s] removed at test time only.

    yhat_n - N/(N-1) sum_i p_ni (q_i'Y - q_ni e_n), with p = G a, q = m p and e the residual.
    """
    n, residual = len(f.y), f.y - f.loo
    p = f.gram @ a
    q = f.hat @ a
    return f.loo - n / (n - 1) * (p @ (q.T @ f.y) - (p * q).sum(1)[:, None] * residual)


def nested(f: Fit, rank: int) -> tuple[jax.Array, jax.Array]:
    """Removal of each fold's own directions: predictions [N,r,c] and their loadings v [N,r,c].

    Fold n fits W without probe n, takes its own SVD, and predicts n refitted without its i-th direction. With
    C = m Y - m_n e_n' in the place of c, everything is a rank-one change of the full fit. A direction with a singular value
    below 1e-6 of its fold's largest (a fold that lost a class has one) is not there: its removal changes nothing.
    """
    n, residual = len(f.y), f.y - f.loo
    mgm = f.inside @ f.hat  # m G m
    mg_c, cross = f.hat @ f.b, f.y.T @ mgm  # m G C [N,c], C'G m [c,N]
    # (C - m_n e_n')' G (C - m_n e_n'), by its parts: [N,c,c]
    mixed = jnp.einsum("cn,ne->nce", cross, residual)
    square = jnp.einsum("n,nc,ne->nce", jnp.diag(mgm), residual, residual)
    squares, vectors = jax.lax.map(
        jnp.linalg.eigh, cross @ f.y - mixed - mixed.mT + square
    )

    def fold(k):
        v, square = vectors[k][:, ::-1][:, :rank], squares[k][::-1][:rank]
        there = square > 1e-12 * square[0]
        scale = jnp.where(there, 1 / jnp.sqrt(jnp.where(there, square, 1)), 0)
        loading = residual[k] @ v
        a = (f.b @ v - jnp.outer(f.inside[:, k], loading)) * scale
        q = (mg_c @ v - jnp.outer(mgm[:, k], loading)) * scale
        weight = jnp.where(there, 1 / jnp.where(there, f.alpha * (q * a).sum(0), 1), 0)
        top = f.c[k] + (q[k] * weight)[:, None] * (q.T @ f.y)
        return f.y[k] - top / (f.m[k, k] + q[k] ** 2 * weight)[:, None], v.T

    return jax.vmap(fold)(jnp.arange(n))


def random_directions(f: Fit, key, number: int) -> jax.Array:
    """Coefficients a [N,number] of directions drawn uniformly from the span of the centred probes."""
    seen = f.values > 1e-10 * f.values[-1]
    z = jnp.where(
        seen[:, None], jax.random.normal(key, (len(f.y), number), f.y.dtype), 0
    )
    z = z / jnp.linalg.norm(z, axis=0)
    return f.vectors @ (z / jnp.sqrt(jnp.where(seen, f.values, 1))[:, None])
