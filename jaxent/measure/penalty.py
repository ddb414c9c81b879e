"""Complement-subspace regularisation (section 6.1): a penalty on probe activations that leave where they were.

    L = lambda / N sum_n |P (h_n - h_n^0)|^2,   P = I - S S'

h^0 are the base model's probe activations, S [D,p] the subspace of the target domain's. Section 6.1 adds it every
50 steps, so lambda acts on one step in 50.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.measure import capture, ridge
from jaxent.model import transformer


@dataclasses.dataclass(frozen=True)
class CsrConfig:
    """lambda, the target domain, the share of its variance that S keeps, and whether its mean is taken out first.

    Section 6.1: 0.1, code, 0.9, uncentred.
    """

    weight: float = 0.1
    target: str = "code"
    variance: float = 0.9
    centred: bool = False

    def __post_init__(self):
        if not (self.weight > 0 and 0 < self.variance < 1):
            raise ValueError(
                f"CSR lambda {self.weight}, variance {self.variance}: expected lambda > 0, 0 < variance < 1"
            )


class NoGradientError(ValueError):
    """The penalty cannot act: no dimension is left to it, or its gradient does not reach the adapter."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CsrReference:
    """What the penalty compares with: probes in M micro-batches of B, right-padded to T tokens.

    tokens, segments, positions int32 [M,B,T]; counts float32 [M,B], 1 for a probe, 0 for filling;
    base float32 [M,B,D], the base model's activations; subspace float32 [D,p]; weight: lambda.
    """

    tokens: jax.Array
    segments: jax.Array
    positions: jax.Array
    counts: jax.Array
    base: jax.Array
    subspace: jax.Array
    weight: jax.Array


def target_subspace(
    x: np.ndarray, variance: float, centred: bool = False
) -> np.ndarray:
    """The fewest leading right singular vectors S [D,p] of x [N,D] that hold `variance` of its sum of squares.

    The paper's x is uncentred, so that the first direction is mostly the mean; p = 47 for its code domain.
    """
    x = np.asarray(x, np.float64)
    x = x - x.mean(0) if centred else x
    with ridge.exact():
        _, s, vt = map(np.asarray, jnp.linalg.svd(jnp.asarray(x), full_matrices=False))
    p = int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), variance) + 1)
    return vt[:p].T


def check_target(spec: CsrConfig, domains: list[str]) -> None:
    """Raises ValueError unless the target is one of the probes' domains."""
    if spec.target not in domains:
        raise ValueError(
            f"CSR target {spec.target!r}: expected a domain of the probes ({', '.join(sorted(set(domains)))})"
        )


def make_reference(
    model: transformer.Transformer,
    examples: list[list[int]],
    domains: list[str],
    spec: CsrConfig,
    micro_tokens: int = 2048,
    compute: transformer.ComputeConfig = transformer.ComputeConfig(),
) -> CsrReference:
    """Runs the base model on the probes (token ids, one domain each) and fits the target's subspace.

    micro_tokens: tokens run at a time in the training step, on each part that rows are split into. Raises ValueError for an unknown target domain,
    `NoGradient` where the target's subspace leaves nothing to penalise.
    """
    check_target(spec, domains)
    capture.check_lengths(examples, model.config.context)
    length = capture.bucket_length(max(map(len, examples)))
    size = capture.batch_size(len(examples), length, micro_tokens, compute)
    micro = -(-len(examples) // size)
    tokens, segments, positions = (
        np.ascontiguousarray(a).reshape(micro, size, length)
        for a in capture.right_pad(
            examples + [[0]] * (micro * size - len(examples)), length
        )
    )
    counts = (
        (np.arange(micro * size) < len(examples))
        .astype(np.float32)
        .reshape(micro, size)
    )
    split = lambda x: axes.device_put_logical(
        x, compute.mesh, *("batch", None)[: x.ndim]
    )
    run = lambda *arrays: np.asarray(
        capture.jit_activations(
            model, *map(split, arrays), None, capture.CaptureConfig(), compute
        )
    )
    base = np.stack([run(*arrays) for arrays in zip(tokens, segments, positions)])
    flat = base.reshape(-1, base.shape[-1])[: len(examples)]
    target = target_subspace(
        flat[[d == spec.target for d in domains]], spec.variance, spec.centred
    )
    if target.shape[1] >= flat.shape[1]:
        raise NoGradientError(
            f"CSR: {spec.target}'s subspace fills all {flat.shape[1]} dimensions, nothing is left to penalise"
        )
    micro = (
        _put(x, compute.mesh, None, "batch", *(None,) * (x.ndim - 2))
        for x in (tokens, segments, positions, counts, base)
    )
    return CsrReference(
        *micro,
        _put(np.float32(target), compute.mesh),
        _put(np.float32(spec.weight), compute.mesh),
    )


def with_weight(
    anchor: CsrReference, weight: float, compute: transformer.ComputeConfig
) -> CsrReference:
    """The anchor with another lambda."""
    return dataclasses.replace(anchor, weight=_put(np.float32(weight), compute.mesh))


def _put(x: np.ndarray, mesh, *logical) -> jax.Array:
    """`axes.device_put_logical`, on the default device without a mesh."""
    return jnp.asarray(axes.device_put_logical(x, mesh, *logical))


def squared_drift(h, base, basis) -> jax.Array:
    """|P (h - base)|^2 of each row: h, base [B,D], basis S [D,p] -> [B]. P itself is never formed."""
    moved = h - base
    inside = jnp.matmul(
        jnp.matmul(moved, basis, precision="highest"), basis.T, precision="highest"
    )
    return jnp.sum((moved - inside) ** 2, axis=-1)


@dataclasses.dataclass(frozen=True)
class Movement:
    """How far probe activations moved, over mean |h0|^2: total = inside + outside the subspace of `dimensions` directions."""

    total: float
    inside: float
    outside: float
    dimensions: int


def measure_movement(h: np.ndarray, base: np.ndarray, basis: np.ndarray) -> Movement:
    """mean |h - h0|^2 / mean |h0|^2 of activations h, base h0 [N,D], in total, inside and outside the basis S [D,p].

    inside: mean |S'(h - h0)|^2 over the same. float64; `outside` is what the penalty acts on.
    """
    moved, size = np.float64(h) - base, (np.float64(base) ** 2).sum()
    inside = moved @ basis
    total, within = (moved**2).sum() / size, (inside**2).sum() / size
    outside = ((moved - inside @ basis.T) ** 2).sum() / size
    return Movement(float(total), float(within), float(outside), basis.shape[1])


def penalty_gradient(model, adapter: lora.Adapter, anchor: CsrReference, compute):
    """(L, gradient of L in adapter, same tree), a micro-batch of probes at a time, without dropout."""
    number = anchor.counts.sum()

    def loss(adapter, grad_accum, micro: CsrReference):
        arrays = (
            axes.constrain(x, compute.mesh, "batch", None)
            for x in (micro.tokens, micro.segments, micro.positions)
        )
        h = capture.activations(
            model, *arrays, adapter, capture.CaptureConfig(), compute, grad_accum
        )
        return (
            anchor.weight
            * jnp.sum(micro.counts * squared_drift(h, micro.base, anchor.subspace))
            / number
        )

    def body(carry, arrays):
        micro = dataclasses.replace(anchor, **dict(zip(_MICRO, arrays)))
        value, gradients = jax.value_and_grad(loss)(adapter, carry[1], micro)
        return (carry[0] + value, gradients), None

    start = (jnp.float32(0), jax.tree.map(jnp.zeros_like, adapter))
    return jax.lax.scan(body, start, tuple(getattr(anchor, name) for name in _MICRO))[0]


_MICRO = ("tokens", "segments", "positions", "counts", "base")


def check_gradient(model, adapter: lora.Adapter, anchor: CsrReference, compute) -> None:
    """Raises `NoGradient` unless a small change of the adapter gives the penalty a finite gradient that is not 0.

    At a fresh adapter (B = 0) nothing has moved and the gradient is rightly 0, so B is moved first.
    """
    key = jax.random.key(0)

    def size(model, adapter, anchor):
        params = {
            path: dataclasses.replace(
                f,
                b=f.b + 1e-2 * jax.random.normal(jax.random.fold_in(key, i), f.b.shape),
            )
            for i, (path, f) in enumerate(adapter.params.items())
        }
        moved = lora.Adapter(params, adapter.config)
        unit = dataclasses.replace(anchor, weight=jnp.float32(1))
        return optax.tree.norm(penalty_gradient(model, moved, unit, compute)[1])

    norm = float(jax.jit(size)(model, adapter, anchor))
    if not (np.isfinite(norm) and norm > 0):
        raise NoGradientError(
            f"CSR: the penalty's gradient has norm {norm}, expected a positive number: it would not act"
        )
