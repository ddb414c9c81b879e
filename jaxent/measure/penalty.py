"""Complement-subspace regularization, CSR (section 6.1).

It is a penalty on probe activations that leave where the base model had them:

    L = lambda / N sum_n |P (h_n - h_n^0)|^2,   P = I - S S'

h^0 are the base model's probe activations, S [D, p] the subspace of the target domain's
activations. Section 6.1 adds it every 50 steps, so lambda acts on one step in 50.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.measure import capture, ridge
from jaxent.model import trained, transformer

# What the reference holds micro-batch by micro-batch.
_MICRO_BATCHED = ("tokens", "segments", "positions", "counts", "base")


@dataclasses.dataclass(frozen=True)
class CsrConfig:
    """CSR's settings; the defaults are section 6.1's.

    Attributes:
      weight: lambda.
      target: the domain whose subspace is free to move.
      variance: the share of the target's variance that S holds.
      centred: whether the target's mean is taken out before S is fitted.
    """

    weight: float = 0.1
    target: str = "code"
    variance: float = 0.9
    centred: bool = False

    def __post_init__(self):
        if not (self.weight > 0 and 0 < self.variance < 1):
            raise ValueError(
                f"CSR lambda {self.weight}, variance {self.variance}: expected "
                "lambda > 0, 0 < variance < 1"
            )


class NoGradientError(ValueError):
    """The penalty cannot act.

    No dimension is left to it, or its gradient does not reach the adapter.
    """


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CsrReference:
    """What the penalty compares with: probes in M micro-batches of B.

    Attributes:
      tokens: int32 [M, B, T], right-padded.
      segments: int32 [M, B, T], 1 for a token, 0 for padding.
      positions: int32 [M, B, T].
      counts: float32 [M, B], 1 for a probe, 0 for a row that fills the batch.
      base: the base model's activations, float32 [M, B, D].
      subspace: the target domain's S, float32 [D, p].
      weight: lambda, float32.
    """

    tokens: jax.Array
    segments: jax.Array
    positions: jax.Array
    counts: jax.Array
    base: jax.Array
    subspace: jax.Array
    weight: jax.Array


def target_subspace(
    x: npt.ArrayLike, variance: float, centred: bool = False
) -> np.ndarray:
    """The leading right singular vectors that hold a share of x's sum of squares.

    Section 6.1's x is uncentred, so that the first direction is mostly the mean; it
    reports 47 dimensions for the code domain.

    Args:
      x: activations [N, D] of the target domain's probes.
      variance: the share to hold, between 0 and 1.
      centred: whether the mean of x is taken out first.

    Returns:
      S [D, p], the fewest vectors that hold the share, float64.

    Example:
      >>> x = np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
      >>> target_subspace(x, 0.8).shape, target_subspace(x, 0.95).shape
      ((3, 1), (3, 2))
    """
    x = np.asarray(x, np.float64)
    x = x - x.mean(0) if centred else x
    with ridge.float64_on_cpu():
        _, s, vt = map(np.asarray, jnp.linalg.svd(jnp.asarray(x), full_matrices=False))
    shares = np.cumsum(s**2) / (s**2).sum()
    p = int(np.searchsorted(shares, variance) + 1)
    return vt[:p].T


def check_target(config: CsrConfig, domains: list[str]) -> None:
    """Raises ValueError unless the target is one of the probes' domains."""
    if config.target not in domains:
        raise ValueError(
            f"CSR target {config.target!r}: expected a domain of the probes "
            f"({', '.join(sorted(set(domains)))})"
        )


def make_reference(
    model: transformer.Transformer,
    examples: list[list[int]],
    domains: list[str],
    config: CsrConfig,
    micro_tokens: int = 2048,
    compute: transformer.ComputeConfig = transformer.ComputeConfig(),
) -> CsrReference:
    """Runs the base model on the probes and fits the target domain's subspace.

    Args:
      model: the base model.
      examples: token ids of N probes.
      domains: the domain of each probe.
      config: CSR's settings.
      micro_tokens: tokens run at a time in the training step, on each part of the mesh
        that rows are split into.
      compute: how the model computes.

    Returns:
      The reference, on the devices.

    Raises:
      ValueError: for an unknown target domain, or a probe that is empty or too long.
      NoGradientError: where the target's subspace leaves nothing to penalise.
    """
    check_target(config, domains)
    capture.check_lengths(examples, model.config.context)
    length = capture.bucket_length(max(map(len, examples)))
    size = capture.batch_size(len(examples), length, micro_tokens, compute)
    probes = _micro_batches(examples, size, length)
    base = np.stack(
        [
            _base_activations(model, arrays, compute)
            for arrays in zip(probes["tokens"], probes["segments"], probes["positions"])
        ]
    )
    flat = base.reshape(-1, base.shape[-1])[: len(examples)]
    is_target = [domain == config.target for domain in domains]
    subspace = target_subspace(flat[is_target], config.variance, config.centred)
    if subspace.shape[1] >= flat.shape[1]:
        raise NoGradientError(
            f"CSR: {config.target}'s subspace fills all {flat.shape[1]} dimensions: "
            "expected some that are left to penalise"
        )
    on_devices = {
        name: _device_put(
            array, compute.mesh, None, "batch", *(None,) * (array.ndim - 2)
        )
        for name, array in (probes | {"base": base}).items()
    }
    return CsrReference(
        **on_devices,
        subspace=_device_put(subspace.astype(np.float32), compute.mesh),
        weight=_device_put(np.array(config.weight, np.float32), compute.mesh),
    )


def _micro_batches(
    examples: list[list[int]], size: int, length: int
) -> dict[str, np.ndarray]:
    """Right-padded probes in micro-batches of `size` rows: arrays [M, B, ...]."""
    number = -(-len(examples) // size)
    rows = number * size
    tokens, segments, positions = (
        np.ascontiguousarray(array).reshape(number, size, length)
        for array in capture.right_pad(
            examples + [[0]] * (rows - len(examples)), length
        )
    )
    is_probe = np.arange(rows) < len(examples)
    return {
        "tokens": tokens,
        "segments": segments,
        "positions": positions,
        "counts": is_probe.astype(np.float32).reshape(number, size),
    }


def _base_activations(model, arrays, compute) -> np.ndarray:
    """Activations float32 [B, D] of the bare model on tokens, segments, positions."""
    on_devices = [
        axes.device_put_logical(array, compute.mesh, "batch", None) for array in arrays
    ]
    return np.asarray(
        capture.jit_activations(
            model, *on_devices, None, capture.CaptureConfig(), compute
        )
    )


def with_weight(
    reference: CsrReference, weight: float, compute: transformer.ComputeConfig
) -> CsrReference:
    """The reference with another lambda."""
    on_devices = _device_put(np.array(weight, np.float32), compute.mesh)
    return dataclasses.replace(reference, weight=on_devices)


def _device_put(x: np.ndarray, mesh, *logical) -> jax.Array:
    """`axes.device_put_logical`, on the default device without a mesh."""
    return jnp.asarray(axes.device_put_logical(x, mesh, *logical))


def squared_drift(h, base, basis) -> jax.Array:
    """|P (h - h0)|^2 of each row, P = I - S S'; P itself is never formed.

    Args:
      h: activations [B, D].
      base: the base model's activations h0 [B, D].
      basis: orthonormal basis S [D, p].

    Returns:
      [B].
    """
    moved = h - base
    coordinates = jnp.matmul(moved, basis, precision="highest")
    inside = jnp.matmul(coordinates, basis.T, precision="highest")
    return jnp.sum((moved - inside) ** 2, axis=-1)


def penalty_gradient(
    model, adapter: trained.Trained, reference: CsrReference, compute
) -> tuple[jax.Array, trained.Trained]:
    """The penalty and its gradient, a micro-batch of probes at a time, without dropout.

    Args:
      model: the base model.
      adapter: what is trained, an adapter or all weights.
      reference: what the penalty compares with.
      compute: how the model computes.

    Returns:
      (L, the gradient of L in the adapter).
    """
    number = reference.counts.sum()

    def loss(micro: CsrReference, adapter, grad_accum):
        own, adapter = trained.split(model, adapter)
        tokens, segments, positions = (
            axes.constrain(array, compute.mesh, "batch", None)
            for array in (micro.tokens, micro.segments, micro.positions)
        )
        h = capture.activations(
            own,
            tokens,
            segments,
            positions,
            adapter,
            capture.CaptureConfig(),
            compute,
            grad_accum,
        )
        drift = squared_drift(h, micro.base, reference.subspace)
        return reference.weight * jnp.sum(micro.counts * drift) / number

    def add_micro_batch(carry, arrays):
        total, grad_accum = carry
        micro = dataclasses.replace(reference, **dict(zip(_MICRO_BATCHED, arrays)))
        of_batch = functools.partial(loss, micro)
        value, gradients = trained.add_gradient(of_batch, adapter, grad_accum)
        return (total + value, gradients), None

    start = (jnp.float32(0), jax.tree.map(jnp.zeros_like, adapter))
    micro_batches = tuple(getattr(reference, name) for name in _MICRO_BATCHED)
    return jax.lax.scan(add_micro_batch, start, micro_batches)[0]


def check_gradient(
    model, adapter: trained.Trained, reference: CsrReference, compute
) -> None:
    """Raises unless the penalty's gradient reaches what is trained.

    Before training nothing has moved and the gradient is rightly 0, so B, or every
    weight, is moved a little first.

    Args:
      model: the base model.
      adapter: what is trained, before training.
      reference: what the penalty compares with.
      compute: how the model computes.

    Raises:
      NoGradientError: where the gradient is 0 or not finite.
    """

    def gradient_norm(model, adapter, reference):
        unit = dataclasses.replace(reference, weight=jnp.float32(1))
        _, gradient = penalty_gradient(model, _perturb(adapter), unit, compute)
        return optax.tree.norm(gradient)

    norm = float(jax.jit(gradient_norm)(model, adapter, reference))
    if not (np.isfinite(norm) and norm > 0):
        raise NoGradientError(
            f"CSR: the penalty's gradient has norm {norm}, expected a positive number: "
            "it would not act"
        )


def _perturb(adapter: trained.Trained) -> trained.Trained:
    """The tree with small random numbers added to every B, or to every weight."""
    key = jax.random.key(0)
    if isinstance(adapter, trained.FullWeights):
        moved = {}
        for i, (path, weight) in enumerate(adapter.params.items()):
            normal = jax.random.normal(jax.random.fold_in(key, i), weight.shape)
            moved[path] = weight + 1e-2 * normal
        return dataclasses.replace(adapter, params=moved)
    params = {}
    for i, (path, factors) in enumerate(adapter.params.items()):
        normal = jax.random.normal(jax.random.fold_in(key, i), factors.b.shape)
        params[path] = dataclasses.replace(factors, b=factors.b + 1e-2 * normal)
    return lora.Adapter(params, adapter.config)
