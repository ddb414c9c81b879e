"""Ridge regression of labels on activations, leave-one-out in closed form (3.2).

Nothing here may be vmapped where it calls LAPACK (eigh, svd, solve): jaxlib runs a
batched call on the very threads that wait for it, and two at once stop for ever.
`jax.lax.map` does the same work safely.
"""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp

_NEGLIGIBLE = 1e-6  # of the largest singular value: such a direction does not exist


@contextlib.contextmanager
def float64_on_cpu():
    """float64 on the CPU, wherever the model runs (TPUs have no float64)."""
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Fit:
    """A ridge fit of N probes with d activations and c label columns, in float64.

    A direction or a basis is always given by its coefficients a on the centred probes,
    u = X'a, taken within the range of G: where N > d the rest of c is of order
    1 / alpha, and its rounding would drown q'a in `refit_without`.

    Invariants, with H the centring matrix and W = X'c = X'b the weights [d, c]:
      - gram = G = H X X' H = vectors diag(values) vectors'
      - m = H (G + alpha I)^-1 H = (G + alpha I)^-1 - 11' / (alpha N)
      - hat = m G, c = m Y, b = inside Y
      - X'a are the left singular vectors of W, of singular values `singular`

    Attributes:
      y: labels [N, c].
      gram: [N, N].
      values: eigenvalues of gram [N], ascending.
      vectors: eigenvectors of gram [N, N], in columns.
      m: [N, N].
      inside: the part of m within the range of G, [N, N].
      hat: [N, N].
      c: dual coefficients [N, c].
      b: their part within the range of G, [N, c].
      a: coefficients [N, r] of the r leading left singular vectors of W.
      singular: singular values [r], descending.
      v: right singular vectors [r, c], the loadings.
      loo: leave-one-out predictions [N, c].
      alpha: the penalty.
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


def one_hot_labels(codes, sizes: tuple[int, ...], dtype) -> jax.Array:
    """One-hot labels Y [N, c] of all concepts, side by side, from codes [N, k]."""
    columns = [jax.nn.one_hot(codes[:, j], m, dtype=dtype) for j, m in enumerate(sizes)]
    return jnp.concatenate(columns, axis=1)


def fit(x, y, rank: int, alpha, scale_free: bool = False) -> Fit:
    """Ridge regression of centred labels on centred activations.

    The leave-one-out residual is e_n = c_n / m_nn: exact for refitting and re-centring
    without probe n (it equals scikit-learn's Ridge refitted N times; the scale-free
    penalty is that of all probes).

    Args:
      x: activations [N, d], float64.
      y: labels [N, c].
      rank: number r of leading singular directions to keep.
      alpha: the penalty.
      scale_free: the penalty is alpha tr(G) / (N - 1) instead, which follows the
        activations' scale.

    Returns:
      The fit.
    """
    n = x.shape[0]
    centred = x - x.mean(0, keepdims=True)
    gram = centred @ centred.T
    scale = jnp.trace(gram) / (n - 1) if scale_free else 1
    alpha = jnp.asarray(alpha, x.dtype) * scale
    values, vectors = jnp.linalg.eigh(gram)
    values = jnp.where(values > n * jnp.finfo(x.dtype).eps * values[-1], values, 0)
    # Centring the vectors; to subtract 11' / (alpha N) instead would cancel badly.
    centred_vectors = vectors - vectors.mean(0, keepdims=True)

    def spectral(weights):
        return (centred_vectors * weights[None, :]) @ centred_vectors.T

    m = spectral(1 / (values + alpha))
    inside = spectral((values > 0) / (values + alpha))
    c, b = m @ y, inside @ y
    _, singular, v = jnp.linalg.svd(centred.T @ b, full_matrices=False)
    singular, v = singular[:rank], v[:rank]
    return Fit(
        y=y,
        gram=gram,
        values=values,
        vectors=vectors,
        m=m,
        inside=inside,
        hat=spectral(values / (values + alpha)),
        c=c,
        b=b,
        a=b @ v.T / singular[None, :],
        singular=singular,
        v=v,
        loo=y - c / jnp.diag(m)[:, None],
        alpha=alpha,
    )


def concept_span(f: Fit, columns: slice, rank: int) -> jax.Array:
    """An orthonormal basis of the span of some of W's columns.

    Args:
      f: the fit.
      columns: the columns, such as one concept's.
      rank: number of basis vectors.

    Returns:
      Coefficients a [N, rank] with (X'a)'(X'a) = I. Directions with a singular value
      below 1e-6 of W's largest do not count: their coefficients are 0.
    """
    b = f.b[:, columns]
    squares, v = jnp.linalg.eigh(b.T @ f.gram @ b)
    squares, v = squares[::-1][:rank], v[:, ::-1][:, :rank]
    exists = squares > (_NEGLIGIBLE * f.singular[0]) ** 2
    scale = jnp.where(exists, 1 / jnp.sqrt(jnp.where(exists, squares, 1)), 0)
    return b @ v * scale[None, :]


def refit_without(f: Fit, a) -> jax.Array:
    """Leave-one-out predictions with directions removed before every fold's fit.

    With Q = m G a: m becomes m + Q (alpha Q'a)^-1 Q'.

    Args:
      f: the fit.
      a: coefficients [N, s] of orthonormal directions, projected out of x.

    Returns:
      Predictions [N, c].
    """
    q = f.hat @ a
    weighted = jnp.linalg.solve(f.alpha * (q.T @ a), q.T)  # [s, N]
    leverage = jnp.diag(f.m) + (q * weighted.T).sum(1)
    return f.y - (f.c + q @ (weighted @ f.y)) / leverage[:, None]


def project_out(f: Fit, a) -> jax.Array:
    """Leave-one-out predictions with directions removed at test time only.

    yhat_n - N / (N - 1) sum_i p_ni (q_i'Y - q_ni e_n), with p = G a, q = m p and e the
    residual.

    Args:
      f: the fit.
      a: coefficients [N, s] of orthonormal directions.

    Returns:
      Predictions [N, c].
    """
    n, residual = len(f.y), f.y - f.loo
    p = f.gram @ a
    q = f.hat @ a
    return f.loo - n / (n - 1) * (p @ (q.T @ f.y) - (p * q).sum(1)[:, None] * residual)


def refit_nested(f: Fit, rank: int) -> tuple[jax.Array, jax.Array]:
    """Leave-one-out predictions where every fold removes directions of its own fit.

    Fold n fits W without probe n, takes its own SVD, and predicts n refitted without
    its i-th direction. With C = m Y - m_n e_n' for c, everything is a rank-one change
    of the full fit. A direction with a singular value below 1e-6 of its fold's largest
    (a fold that lost a class has one) does not exist: its removal changes nothing.

    Args:
      f: the fit.
      rank: number r of directions of each fold.

    Returns:
      (predictions [N, r, c], loadings v [N, r, c] of the folds' directions).
    """
    residual = f.y - f.loo
    mgm = f.inside @ f.hat  # m G m
    mgc, cgm = f.hat @ f.b, f.y.T @ mgm  # m G C [N, c], C'G m [c, N]
    # (C - m_n e_n')' G (C - m_n e_n'), by its parts: [N, c, c]
    mixed = jnp.einsum("cn,ne->nce", cgm, residual)
    outer = jnp.einsum("n,nc,ne->nce", jnp.diag(mgm), residual, residual)
    of_folds = (cgm @ f.y)[None] - mixed - mixed.mT + outer
    squares, vectors = jax.lax.map(jnp.linalg.eigh, of_folds)

    def fold(k):
        v, square = vectors[k][:, ::-1][:, :rank], squares[k][::-1][:rank]
        exists = square > _NEGLIGIBLE**2 * square[0]
        scale = jnp.where(exists, 1 / jnp.sqrt(jnp.where(exists, square, 1)), 0)
        loading = residual[k] @ v
        a = (f.b @ v - jnp.outer(f.inside[:, k], loading)) * scale[None, :]
        q = (mgc @ v - jnp.outer(mgm[:, k], loading)) * scale[None, :]
        denominator = jnp.where(exists, f.alpha * (q * a).sum(0), 1)
        weight = jnp.where(exists, 1 / denominator, 0)
        top = f.c[k][None, :] + (q[k] * weight)[:, None] * (q.T @ f.y)
        leverage = (f.m[k, k] + q[k] ** 2 * weight)[:, None]
        return f.y[k][None, :] - top / leverage, v.T

    return jax.vmap(fold)(jnp.arange(len(f.y)))


def random_directions(f: Fit, key, number: int) -> jax.Array:
    """Coefficients a [N, number] of uniform directions in the centred probes' span."""
    seen = f.values > 1e-10 * f.values[-1]
    normal = jax.random.normal(key, (len(f.y), number), f.y.dtype)
    z = jnp.where(seen[:, None], normal, 0)
    z = z / jnp.linalg.norm(z, axis=0, keepdims=True)
    return f.vectors @ (z / jnp.sqrt(jnp.where(seen, f.values, 1))[:, None])
