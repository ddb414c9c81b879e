"""What a run measures on its base model and adapter, and CSR's reference."""

import dataclasses
import time
from typing import Any

import numpy as np

from jaxent.data import probes
from jaxent.distributed import processes
from jaxent.measure import capture, concepts, drift, energy, entangle, penalty
from jaxent.model import trained
from jaxent.runs import base_model, validate
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.train import loop

_LAST_STEPS = 20  # final_loss is the mean over this many last steps
# CSR's probes run this many tokens at a time, or as many as a micro-batch has.
_PROBE_TOKENS = 2048


def measure_entanglement(
    validated: validate.ValidatedRun,
    base: base_model.BaseModel,
    adapter: trained.Trained | None,
) -> dict[str, Any]:
    """The record of a measurement, `entangle.Measurement` with drift and origin.

    Every process runs the model, the first alone the estimators; the others' record
    is empty.
    """
    started = time.perf_counter()
    probe_set = validated.probe_set
    x = base.capture(probe_set, adapter)
    base.activations(probe_set)
    if not processes.is_primary():
        return {}
    labels = base.memoize(
        ("labels", probe_set.hash), lambda: concepts.label_probes(probe_set.labels)
    )
    return {
        **entangle.measure(x, labels).to_json(),
        "probe_set": probe_set.name,
        "probe_hash": probe_set.hash,
        "dtype": str(base.compute.dtype),
        "layer": base.model.config.layers,
        "pooling": capture.CaptureConfig().pooling,
        "drift": measure_drift(validated.run, base, probe_set, x),
        "seconds": time.perf_counter() - started,
    }


def measure_drift(
    run: specs.RunSpec,
    base: base_model.BaseModel,
    probe_set: probes.ProbeSet,
    x: np.ndarray,
) -> dict[str, Any]:
    """`drift.measure_drift` of activations x [P, D] from the bare model's.

    The subspace is that of CSR's target; it has no dimension where the target is
    none of the probes' domains.
    """
    before = base.activations(probe_set)
    is_target = [p.domain == run.csr_target for p in probe_set.probes]
    basis = np.zeros((before.shape[1], 0))
    if any(is_target):
        how = (run.csr_target, run.csr_variance, run.csr_centred)
        basis = base.memoize(
            ("subspace", probe_set.hash, *how),
            lambda: penalty.target_subspace(
                before[is_target], run.csr_variance, run.csr_centred
            ),
        )
    return dataclasses.asdict(drift.measure_drift(x, before, basis))


def csr_reference(
    validated: validate.ValidatedRun, base: base_model.BaseModel
) -> penalty.CsrReference | None:
    """What CSR's penalty compares with; None for a run without it.

    Raises:
      penalty.NoGradientError: the penalty does not reach the adapter.
    """
    run, probe_set = validated.run, validated.csr_probes
    if run.csr is None or run.csr_lambda is None or probe_set is None:
        return None
    micro_tokens = max(_PROBE_TOKENS, run.micro_batch_size * validated.length)
    unit = dataclasses.replace(run.csr, weight=1.0)
    reference = base.memoize(
        ("reference", probe_set.hash, unit, micro_tokens, run.lora_config),
        lambda: _make_reference(run, base, probe_set, unit, micro_tokens),
    )
    if processes.is_primary():
        dimensions, kept = reference.subspace.shape
        print(
            f"CSR: {kept} of {dimensions} dimensions hold {run.csr_variance:.0%} of "
            f"{run.csr_target}'s variance; lambda {run.csr_lambda:g} "
            f"acts on one step in {run.csr_every}"
        )
    return penalty.with_weight(reference, run.csr_lambda, base.compute)


def _make_reference(
    run: specs.RunSpec,
    base: base_model.BaseModel,
    probe_set: probes.ProbeSet,
    unit: penalty.CsrConfig,
    micro_tokens: int,
) -> penalty.CsrReference:
    """The reference with weight 1, once its penalty is seen to reach the adapter."""
    reference = penalty.make_reference(
        base.model,
        base.tokenizer.encode(probe_set.texts),
        [p.domain for p in probe_set.probes],
        unit,
        micro_tokens,
        base.compute,
    )
    plan = loop.LoopConfig(run.train_config, run.lora_config, base.compute)
    adapter = loop.initial_state(base.model, plan, run.seed).adapter
    penalty.check_gradient(base.model, adapter, reference, base.compute)
    return reference


def summarise_metrics(records: list[dict[str, Any]]) -> run_folder.Summary:
    """The part of a summary that the records of metrics.jsonl decide.

    Args:
      records: all records of a run, in order.

    Returns:
      The measurements before and after and the drift of their probes, the number of
      steps and tokens, the seconds of steps and measurements, final_loss (the mean
      over the last 20 steps), held_out (the loss on held-out examples before and after,
      None without them), csr_ratio (the mean of |grad CSR| / |grad LM| over CSR
      steps) and csr_loss (the penalty on the last of them).

    Example:
      >>> measured = {"kind": "measure", "step": 0, "drift": None, "seconds": 1.0}
      >>> step = {"kind": "train", "loss": 2.0, "tokens": 7, "seconds": 0.5}
      >>> summary = summarise_metrics([measured, step, step])
      >>> [summary[name] for name in ("steps", "tokens", "seconds", "final_loss")]
      [2, 14, 2.0, 2.0]
    """
    measured = [r for r in records if r["kind"] == "measure"]
    trained = [r for r in records if r["kind"] == "train"]
    scored = [r for r in records if r["kind"] == "eval"]
    with_csr = [r for r in trained if "csr" in r]
    return {
        "before": measured[0],
        "after": measured[-1],
        "drift": measured[-1]["drift"],
        "steps": len(trained),
        "tokens": int(sum(r["tokens"] for r in trained)),
        "seconds": sum(r["seconds"] for r in records),
        "final_loss": _mean([r["loss"] for r in trained[-_LAST_STEPS:]]),
        "held_out": _before_and_after(scored),
        "csr_ratio": _mean([r["csr_ratio"] for r in with_csr]),
        "csr_loss": with_csr[-1]["csr"] if with_csr else None,
    }


def _before_and_after(scored: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first and the last held-out loss, in all and by domain."""
    if not scored:
        return None
    kept = ("step", "loss", "domains", "tokens")
    first, last = ({name: r[name] for name in kept} for r in (scored[0], scored[-1]))
    return {"before": first, "after": last}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def summarise_adapter(
    validated: validate.ValidatedRun,
    base: base_model.BaseModel,
    adapter: trained.Trained | None,
    folder: run_folder.RunFolder,
) -> run_folder.Summary:
    """The part of a summary about the adapter: hash, SV energy, CSR probes' drift.

    The last is there for runs that have CSR's probes: B4, even at lambda 0.
    """
    if adapter is None:
        return {"adapter_hash": None, "sv_energy": None, "csr_drift": None}
    sv_energy = energy.sv_energy(base.model, adapter)
    csr_drift = None
    if validated.csr_probes:
        x = base.capture(validated.csr_probes, adapter)
        csr_drift = measure_drift(validated.run, base, validated.csr_probes, x)
    return {
        "adapter_hash": validate.adapter_hash(folder.trained),
        "sv_energy": {"total": sv_energy.total, "modules": sv_energy.modules},
        "csr_drift": csr_drift,
    }
