"""One run, from its specification to a finished run folder.

run.json: settings, hashes, versions, device. metrics.jsonl: train and measure records. checkpoints/. adapter/: PEFT's format.
summary.json, written last: a run folder is finished once it is there.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.checkpoint import hf, peft
from jaxent.data import corpora, probes
from jaxent.distributed import axes, processes
from jaxent.measure import capture, concepts, drift, energy, entangle, penalty
from jaxent.model import transformer
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.runs import validate
from jaxent.train import log, loop
from jaxent.train import step as steps

_LAST = 20  # final_loss is the mean over this many last steps
_PROBE_TOKENS = (
    2048  # of CSR's probes run at a time, or as many as a micro-batch of the step has
)


class BaseModel:
    """A base model in memory, on a mesh if there is one, and what runs on it share, each made once: probe activations,
    subspaces, CSR's anchor.
    """

    def __init__(self, checked: validate.Checked, mesh: Mesh | None = None):
        self.tokenizer = checked.checkpoint.tokenizer
        self.compute = transformer.default_compute(checked.run.dtype, mesh)
        self.model = hf.load(
            str(checked.checkpoint.folder),
            checked.run.load_in_4bit,
            progress=processes.is_primary(),
            mesh=mesh,
        )
        self._kept = {}

    def once(self, key: tuple, make: Callable):
        """make(), or what it gave when the key was first asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def activations(self, probe_set: probes.ProbeSet) -> np.ndarray:
        """The bare model's, [P,D]."""
        return self.once(
            ("activations", probe_set.hash), lambda: self.capture(probe_set, None)
        )

    def capture(
        self, probe_set: probes.ProbeSet, adapter: lora.Adapter | None
    ) -> np.ndarray:
        ids = self.once(
            ("ids", probe_set.hash), lambda: self.tokenizer.encode(probe_set.texts)
        )
        return capture.capture(self.model, ids, adapter, compute=self.compute)


def base_key(run: specs.RunSpec) -> tuple:
    """Runs equal in this can share a `Base` on one mesh."""
    return run.model, run.load_in_4bit, run.dtype, validate.rows_at_a_time(run)


def execute_run(
    checked: validate.Checked,
    base: BaseModel,
    corpus: corpora.Corpus,
    out: pathlib.Path,
    progress: bool = True,
) -> dict:
    """Trains and measures a run that `validate.begin_run` began, from its newest checkpoint if it has one: summary.json's content.

    Raises `penalty.NoGradientError` or `loop.NonFiniteError`.
    """
    [ended] = train_seeds([(checked, corpus, out)], base, progress)
    if isinstance(ended, loop.NonFiniteError):
        raise ended
    return ended


def train_seeds(
    begun: Sequence[tuple[validate.Checked, corpora.Corpus, pathlib.Path]],
    base: BaseModel,
    progress: bool = True,
) -> list[dict | loop.NonFiniteError]:
    """`execute` of runs that differ in nothing but their seed, in one step: each one's summary, or what ended it."""
    checked, _, out = begun[0]
    if checked.run.mixture is None:
        found = {"step": 0, **_measure(checked, base, None)}
        _write(out / "metrics.jsonl", json.dumps({"kind": "measure", **found}) + "\n")
        return [_summary(checked, base, None, out)]
    run = checked.run
    hyper = dataclasses.replace(
        run.hyper,
        micro_batch_size=run.micro_batch_size
        * axes.axis_size(base.compute.mesh, "batch"),
    )
    plan = loop.LoopConfig(
        hyper, run.lora_config, base.compute, run.measure_steps, run.save_steps
    )
    read = steps.addressable_rows(
        run.batch_size, hyper.micro_batch_size, base.compute.mesh
    )
    states = loop.fit(
        base.model,
        plan,
        [_lane(*one, base, read) for one in begun],
        _anchor(checked, base),
        progress,
    )
    return [
        s if isinstance(s, loop.NonFiniteError) else _finish(one, base, s.adapter, out)
        for s, (one, _, out) in zip(states, begun)
    ]


def _lane(
    checked: validate.Checked,
    corpus: corpora.Corpus,
    out: pathlib.Path,
    base: BaseModel,
    read: np.ndarray | None,
) -> loop.SeedRun:
    run = checked.run
    start = (
        axes.to_host(peft.load_adapter(str(checked.start), base.model.config))
        if checked.start
        else None
    )
    batch_at = lambda index: corpus.batch(
        run.mixture, run.seed, index, checked.length, run.batch_size, run.packing, read
    )
    return loop.SeedRun(
        run.seed, batch_at, lambda adapter: _measure(checked, base, adapter), out, start
    )


def _finish(
    checked: validate.Checked, base: BaseModel, adapter, out: pathlib.Path
) -> dict:
    host = axes.to_host(adapter)
    processes.broadcast_from_primary(
        lambda: peft.save_adapter(host, out / "adapter", checked.run.model)
    )
    return _summary(checked, base, adapter, out)


def _summary(
    checked: validate.Checked, base: BaseModel, adapter, out: pathlib.Path
) -> dict:
    of_adapter = _of_adapter(checked, base, adapter, out)
    found = (
        concepts.to_plain(
            summarise_metrics(log.read_metrics(out / "metrics.jsonl")) | of_adapter
        )
        if processes.is_primary()
        else {}
    )
    _write(out / "summary.json", json.dumps(found, indent=1) + "\n")
    return found


def _write(file: pathlib.Path, text: str) -> None:
    processes.broadcast_from_primary(lambda: run_folder.write_text(file, text))


def _measure(checked: validate.Checked, base: BaseModel, adapter) -> dict:
    """The record of a measurement; every process runs the model, the first one alone the estimators."""
    started = time.perf_counter()
    x = base.capture(checked.probes, adapter)
    base.activations(checked.probes)
    if not processes.is_primary():
        return {}
    labels = base.once(
        ("labels", checked.probes.hash),
        lambda: concepts.label_probes(checked.probes.labels),
    )
    found = entangle.measure(x, labels).to_json()
    about = {
        "probe_set": checked.probes.name,
        "probe_hash": checked.probes.hash,
        "dtype": str(base.compute.dtype),
        "layer": base.model.config.layers,
        "pooling": capture.CaptureConfig().pooling,
    }
    return (
        found
        | about
        | {
            "drift": _drift(checked.run, base, checked.probes, x),
            "seconds": time.perf_counter() - started,
        }
    )


def _drift(
    run: specs.RunSpec, base: BaseModel, probe_set: probes.ProbeSet, x: np.ndarray
) -> dict:
    """`drift.measure_drift` from the bare model's activations, about their subspace of CSR's target (no dimension if it is no domain)."""
    before = base.activations(probe_set)
    members = [p.domain == run.csr_target for p in probe_set.probes]
    fit = lambda: penalty.target_subspace(
        before[members], run.csr_variance, run.csr_centred
    )
    key = (
        "subspace",
        probe_set.hash,
        run.csr_target,
        run.csr_variance,
        run.csr_centred,
    )
    basis = base.once(key, fit) if any(members) else np.zeros((before.shape[1], 0))
    return dataclasses.asdict(drift.measure_drift(x, before, basis))


def _anchor(checked: validate.Checked, base: BaseModel) -> penalty.CsrReference | None:
    """CSR's anchor, once its penalty is seen to reach the adapter."""
    run = checked.run
    if run.csr is None:
        return None
    micro_tokens = max(_PROBE_TOKENS, run.micro_batch_size * checked.length)
    unit = dataclasses.replace(run.csr, weight=1.0)

    def make() -> penalty.CsrReference:
        ids = base.tokenizer.encode(checked.csr_probes.texts)
        anchor = penalty.make_reference(
            base.model,
            ids,
            [p.domain for p in checked.csr_probes.probes],
            unit,
            micro_tokens,
            base.compute,
        )
        plan = loop.LoopConfig(run.hyper, run.lora_config, base.compute)
        penalty.check_gradient(
            base.model,
            loop.initial_state(base.model, plan, run.seed).adapter,
            anchor,
            base.compute,
        )
        return anchor

    anchor = base.once(
        ("anchor", checked.csr_probes.hash, unit, micro_tokens, run.lora_config), make
    )
    kept, d = anchor.subspace.shape[::-1]
    if processes.is_primary():
        print(
            f"CSR: {kept} of {d} dimensions hold {run.csr_variance:.0%} of {run.csr_target}'s variance; lambda {run.csr_lambda:g} "
            f"acts on one step in {run.csr_every}"
        )
    return penalty.with_weight(anchor, run.csr_lambda, base.compute)


def summarise_metrics(found: list[dict]) -> dict:
    """summary.json's part that metrics.jsonl tells: what was measured before and after, loss, tokens and time of all parts of a run.

    drift: of the measurement's probes. csr_ratio: mean |grad CSR| / |grad LM| over CSR steps. final_loss: mean of the last 20
    steps. seconds: of steps and measurements, first compilations included.
    """
    measured, trained = (
        [r for r in found if r["kind"] == kind] for kind in ("measure", "train")
    )
    mean = lambda values: sum(values) / len(values) if values else None
    return {
        "before": measured[0],
        "after": measured[-1],
        "drift": measured[-1]["drift"],
        "steps": len(trained),
        "tokens": int(sum(r["tokens"] for r in trained)),
        "seconds": sum(r["seconds"] for r in found),
        "final_loss": mean([r["loss"] for r in trained[-_LAST:]]),
        "csr_ratio": mean([r["csr_ratio"] for r in trained if "csr_ratio" in r]),
        "csr_loss": next((r["csr"] for r in reversed(trained) if "csr" in r), None),
    }


def _of_adapter(
    checked: validate.Checked, base: BaseModel, adapter, out: pathlib.Path
) -> dict:
    """summary.json's part about the adapter: hash, SV energy, and with CSR's probes (B4's even at lambda 0) their drift."""
    if adapter is None:
        return {"adapter_hash": None, "sv_energy": None, "csr_drift": None}
    run, found = checked.run, energy.sv_energy(base.model, adapter)
    csr_drift = None
    if checked.csr_probes:
        csr_drift = _drift(
            run,
            base,
            checked.csr_probes,
            base.capture(checked.csr_probes, adapter),
        )
    return {
        "adapter_hash": validate.file_hash(
            out / "adapter" / "adapter_model.safetensors"
        ),
        "sv_energy": {"total": found.total, "modules": found.modules},
        "csr_drift": csr_drift,
    }
