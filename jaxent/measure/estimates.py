"""All that is estimated from activations and labels, as arrays, in one jitted call."""

import functools

import jax
import jax.numpy as jnp

from jaxent.measure import concepts, ridge

_RANDOM = 32  # random directions whose removal is the baseline of damage


@functools.partial(jax.jit, static_argnames=("sizes", "scale_free"))
def estimate_layers(
    grams, codes, sets, sizes: tuple[int, ...], alpha, scale_free: bool
):
    """`estimate` of every layer, from all probes together and from each replicate set.

    Args:
      grams: `ridge.centred_gram` of every layer's activations, [L, N, N].
      codes: int [N, k], the class of each probe in each concept.
      sets: int [R, N / R], the probes of each replicate set, or None.
      sizes: number of classes of each concept.
      alpha: ridge penalty.
      scale_free: whether alpha is relative to the activations' scale.

    Returns:
      (arrays with a leading axis [L], arrays with leading axes [L, R] or None).
    """
    of_one = functools.partial(
        estimate, sizes=sizes, alpha=alpha, scale_free=scale_free
    )
    of_all_probes = jax.lax.map(lambda gram: of_one(gram, codes), grams)
    if sets is None:
        return of_all_probes, None

    def by_set(gram):
        def estimate_set(members):
            return of_one(gram[members][:, members], codes[members])

        return jax.lax.map(estimate_set, sets)

    return of_all_probes, jax.lax.map(by_set, grams)


def estimate(gram, codes, sizes, alpha, scale_free) -> dict[str, jax.Array]:
    """All that is measured on one set of probes.

    Args:
      gram: `ridge.centred_gram` of the activations [N, N], or part of a larger one.
      codes: int [N, k], the class of each probe in each concept.
      sizes: number of classes of each concept.
      alpha: ridge penalty.
      scale_free: whether alpha is relative to the activations' scale.

    Returns:
      Arrays by name.
    """
    y = ridge.one_hot_labels(codes, sizes, gram.dtype)
    n, rank = len(gram), sum(sizes) - len(sizes)
    fit = ridge.fit(gram, y, rank, alpha, scale_free)
    trace = jnp.trace(fit.gram)
    before = _is_right(fit.loo, codes, sizes).astype(jnp.int64)
    return (
        _removal_damage(fit, before.sum(0), codes, sizes, trace)
        | {"nested": _nested_flips(fit, before, codes, sizes)}
        | _subspaces(fit, sizes)
        | _class_mean_spread(fit.gram, codes, sizes, trace)
        | {"alpha": fit.alpha, "alpha_ratio": fit.alpha * (n - 1) / trace}
    )


def _removal_damage(fit: ridge.Fit, before, codes, sizes, trace) -> dict:
    """Right predictions [k] before, and after each direction is removed, [r, k].

    damage [r, k] is NaN for a direction that does not exist; random [k] is the mean
    damage of random directions, NaN if the activations do not vary.
    """
    n = len(fit.y)

    is_right = jax.vmap(functools.partial(_is_right, codes=codes, sizes=sizes))
    directions = ridge.random_directions(fit, jax.random.key(0), _RANDOM)
    removed = jnp.concatenate([fit.a, directions], axis=1)
    right = is_right(ridge.refit_without(fit, removed)).sum(1)  # [r + 32, k]
    after, after_random = right[:-_RANDOM], right[-_RANDOM:].mean(0)
    exists = (fit.singular > 1e-6 * fit.singular[0])[:, None]
    return {
        "before": before,
        "accuracy": before / n,
        "after": after,
        "damage": jnp.where(exists, (before[None, :] - after) / n, jnp.nan),
        "v": fit.v,
        "singular": fit.singular,
        "random": jnp.where(trace > 0, (before - after_random) / n, jnp.nan),
    }


def _nested_flips(fit: ridge.Fit, before, codes, sizes) -> jax.Array:
    """Flips [k, k]: of the column's concept, by directions where the row's dominates.

    before: whether each probe was right, int [N, k].
    """
    predictions, v = ridge.refit_nested(fit, sum(sizes) - len(sizes))
    is_right = functools.partial(_is_right, codes=codes, sizes=sizes)
    after = jax.vmap(is_right, in_axes=1, out_axes=1)(predictions)  # [N, r, k]
    dominant = jax.nn.one_hot(
        concepts.dominant_concept(v, sizes)[0], len(sizes), dtype=jnp.int64
    )
    return jnp.einsum("nrj,nrk->jk", dominant, before[:, None, :] - after)


def _subspaces(fit: ridge.Fit, sizes) -> dict:
    """R^2 [k], its loss's rise [k, k] by removal of a subspace, mean cos^2 [k, k]."""
    spans = [
        ridge.concept_span(fit, columns, m - 1)
        for columns, m in zip(concepts.concept_columns(sizes), sizes)
    ]
    base_loss = _r2_loss(fit.loo, fit.y, sizes)
    losses = jnp.stack(
        [_r2_loss(ridge.project_out(fit, a), fit.y, sizes) for a in spans]
    )
    overlaps = [[_mean_squared_cosine(a, b, fit.gram) for b in spans] for a in spans]
    return {
        "r2": 1 - base_loss,
        "rise": losses - base_loss[None, :],
        "overlaps": jnp.array(overlaps),
    }


def _mean_squared_cosine(a, b, gram) -> jax.Array:
    """Mean cos^2 of the principal angles between two spans, by their coefficients."""
    return ((a.T @ gram @ b) ** 2).sum() / min(a.shape[1], b.shape[1])


def _is_right(predicted, codes, sizes) -> jax.Array:
    """Whether the argmax over each concept's columns is the probe's class: [N, k]."""
    best = [
        predicted[:, columns].argmax(1) for columns in concepts.concept_columns(sizes)
    ]
    return jnp.stack(best, 1) == codes


def _r2_loss(predicted, y, sizes) -> jax.Array:
    """1 - R^2 of each concept's columns together: [k]."""
    losses = []
    for columns in concepts.concept_columns(sizes):
        residual = ((y - predicted)[:, columns] ** 2).sum()
        centred = (y - y.mean(0, keepdims=True))[:, columns]
        losses.append(residual / (centred**2).sum())
    return jnp.stack(losses)


def _class_mean_spread(gram, codes, sizes, trace) -> dict:
    """Smallest squared singular values of sqrt(n_class / N) (class mean - mean).

    zeros [k] are the m-th, margins [k] the (m-1)-th, both over the total variance.
    """
    smallest = []
    for j, m in enumerate(sizes):
        member = jax.nn.one_hot(codes[:, j], m, dtype=gram.dtype)
        counts = jnp.maximum(member.sum(0, keepdims=True), 1)
        weights = member / jnp.sqrt(len(codes) * counts)  # [N, m]
        smallest.append(jnp.linalg.eigvalsh(weights.T @ gram @ weights)[:2])
    least, n = jnp.stack(smallest), len(codes)
    return {"zeros": least[:, 0] / (trace / n), "margins": least[:, 1] / (trace / n)}
