"""Ridge regression of labels on activations, leave-one-out in closed form (3.2).

Nothing here may be vmapped where it calls LAPACK (eigh, svd, solve): jaxlib runs a
batched call on the very threads that wait for it, and two at once stop for ever.
`jax.lax.map` does the same work safely.
"""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

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

    Nothing holds d numbers, and matrices [N, N] such as m are never formed: they are
    functions of G, which `spectral` applies to a few columns through its eigenvectors.

    Invariants, with H the centring matrix and W = X'c = X'b the weights [d, c]:
      - gram = G = H X X' H = vectors diag(values) vectors'
      - m = H (G + alpha I)^-1 H = (G + alpha I)^-1 - 11' / (alpha N)
      - c = m Y, b = (the part of m within the range of G) Y, diagonal = diag(m)
      - X'a are the left singular vectors of W, of singular values `singular`

    Attributes:
      y: labels [N, c].
      gram: [N, N].
      values: eigenvalues of gram [N], ascending; exactly 0 outside its range.
      vectors: centred eigenvectors of gram [N, N], in columns.
      diagonal: [N], of m.
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
    diagonal: jax.Array
    c: jax.Array
    b: jax.Array
    a: jax.Array
    singular: jax.Array
    v: jax.Array
    loo: jax.Array
    alpha: jax.Array

    @property
    def inside(self) -> jax.Array:
        """Eigenvalues of m within the range of G, 0 outside: [N]."""
        return (self.values > 0) / (self.values + self.alpha)

    @property
    def hat(self) -> jax.Array:
        """Eigenvalues of m G: [N]."""
        return self.values / (self.values + self.alpha)


def spectral(vectors, weights, z) -> jax.Array:
    """(V diag(weights) V') z of z [N, s]: a function of G applied to some columns."""
    return vectors @ (weights[:, None] * (vectors.T @ z))


def centred_gram(x: np.ndarray) -> np.ndarray:
    """Inner products [N, N] of activations x [N, d] about their mean, in float64.

    On the host: numpy computes one triangle of a product with its own transpose, XLA
    both.

    Example:
      >>> centred_gram(np.array([[1.0, 0.0], [3.0, 0.0]])).tolist()
      [[1.0, -1.0], [-1.0, 1.0]]
    """
    centred = np.asarray(x, np.float64)
    centred = centred - centred.mean(0)
    return centred @ centred.T


def one_hot_labels(codes, sizes: tuple[int, ...], dtype) -> jax.Array:
    """One-hot labels Y [N, c] of all concepts, side by side, from codes [N, k]."""
    columns = [jax.nn.one_hot(codes[:, j], m, dtype=dtype) for j, m in enumerate(sizes)]
    return jnp.concatenate(columns, axis=1)


def fit(gram, y, rank: int, alpha, scale_free: bool = False) -> Fit:
    """Ridge regression of centred labels on centred activations.

    The leave-one-out residual is e_n = c_n / m_nn: exact for refitting and re-centring
    without probe n (it equals scikit-learn's Ridge refitted N times; the scale-free
    penalty is that of all probes).

    Args:
      gram: inner products of the activations [N, N], float64, about any origin: the
        probes' own mean is taken out. Part of a `centred_gram` will do.
      y: labels [N, c].
      rank: number r of leading singular directions to keep.
      alpha: the penalty.
      scale_free: the penalty is alpha tr(G) / (N - 1) instead, which follows the
        activations' scale.

    Returns:
      The fit.
    """
    n = gram.shape[0]
    gram = gram - gram.mean(0, keepdims=True)
    gram = gram - gram.mean(1, keepdims=True)
    scale = jnp.trace(gram) / (n - 1) if scale_free else 1
    alpha = jnp.asarray(alpha, gram.dtype) * scale
    values, vectors = jnp.linalg.eigh(gram)
    values = jnp.where(values > n * jnp.finfo(gram.dtype).eps * values[-1], values, 0)
    # Centring the vectors; to subtract 11' / (alpha N) instead would cancel badly.
    vectors = vectors - vectors.mean(0, keepdims=True)
    weights = 1 / (values + alpha)
    c = spectral(vectors, weights, y)
    diagonal = vectors**2 @ weights
    # W = X'b turned by orthogonal matrices: the same singular values and v, in N rows
    # instead of d.
    turned = (jnp.sqrt(values) * weights)[:, None] * (vectors.T @ y)
    _, singular, v = jnp.linalg.svd(turned, full_matrices=False)
    singular, v = singular[:rank], v[:rank]
    b = spectral(vectors, (values > 0) * weights, y)
    return Fit(
        y=y,
        gram=gram,
        values=values,
        vectors=vectors,
        diagonal=diagonal,
        c=c,
        b=b,
        a=b @ v.T / singular[None, :],
        singular=singular,
        v=v,
        loo=y - c / diagonal[:, None],
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
    """Leave-one-out predictions with one direction removed before every fold's fit.

    With q = m G a: m becomes m + q q' / (alpha q'a).

    Args:
      f: the fit.
      a: coefficients [N, s] of s directions of length one; each is projected out of x
        alone.

    Returns:
      Predictions [s, N, c], one set a direction.
    """
    q = spectral(f.vectors, f.hat, a).T  # [s, N]
    weighted = q / (f.alpha * (q * a.T).sum(1, keepdims=True))
    diagonal = f.diagonal[None] + q * weighted
    c = f.c[None] + q[:, :, None] * (weighted @ f.y)[:, None]
    return f.y[None] - c / diagonal[:, :, None]


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
    q = spectral(f.vectors, f.hat, a)
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
    # m G m and m G m m of the labels, and the two matrices' diagonals
    once, twice = f.inside * f.hat, f.inside**2 * f.hat
    mgc = spectral(f.vectors, once, f.y)
    mmgc = spectral(f.vectors, twice, f.y)
    mgm, mmgm = (f.vectors**2 @ jnp.stack([once, twice], 1)).T
    cgc, cmgc = mgc.T @ f.y, mmgc.T @ f.y
    # (C - m_n e_n')' G (C - m_n e_n'), by its parts: [N, c, c]
    mixed = jnp.einsum("nc,ne->nce", mgc, residual)
    outer = jnp.einsum("n,nc,ne->nce", mgm, residual, residual)
    squares, vectors = jax.lax.map(
        jnp.linalg.eigh, cgc[None] - mixed - mixed.mT + outer
    )

    def fold(k):
        v, square = vectors[k][:, ::-1][:, :rank], squares[k][::-1][:rank]
        exists = square > _NEGLIGIBLE**2 * square[0]
        scale = jnp.where(exists, 1 / jnp.sqrt(jnp.where(exists, square, 1)), 0)
        loading = residual[k] @ v
        # Of a = (C - m_n e_n') v and q = m G a only q'a, q'Y and q_n are needed.
        qa = (v * (cmgc @ v)).sum(0) - 2 * loading * (mmgc[k] @ v)
        qa = (qa + loading**2 * mmgm[k]) * scale**2
        qy = (v.T @ cgc - jnp.outer(loading, mgc[k])) * scale[:, None]
        q = (mgc[k] @ v - mgm[k] * loading) * scale
        weight = jnp.where(exists, 1 / (f.alpha * jnp.where(exists, qa, 1)), 0)
        top = f.c[k][None] + (q * weight)[:, None] * qy
        return f.y[k][None] - top / (f.diagonal[k] + q**2 * weight)[:, None], v.T

    return jax.vmap(fold)(jnp.arange(len(f.y)))


def random_directions(f: Fit, key, number: int) -> jax.Array:
    """Coefficients a [N, number] of uniform directions in the centred probes' span."""
    seen = f.values > 1e-10 * f.values[-1]
    normal = jax.random.normal(key, (len(f.y), number), f.y.dtype)
    z = jnp.where(seen[:, None], normal, 0)
    z = z / jnp.linalg.norm(z, axis=0, keepdims=True)
    return f.vectors @ (z / jnp.sqrt(jnp.where(seen, f.values, 1))[:, None])
