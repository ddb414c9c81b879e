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

from jaxent.arrays import axes, lora, processes
from jaxent.checkpoint import hf, peft
from jaxent.data import corpora, probes
from jaxent.measure import capture, concepts, energy, entangle, penalty
from jaxent.model import transformer
from jaxent.report import records
from jaxent.study import prepare, spec as specs
from jaxent.train import log, loop, step as steps

_LAST = 20  # final_loss is the mean over this many last steps
_PROBE_TOKENS = 2048  # of CSR's probes run at a time, or as many as a micro-batch of the step has


class Base:
    """A base model in memory, on a mesh if there is one, and what runs on it share, each made once: probe activations,
    subspaces, CSR's anchor."""

    def __init__(self, checked: prepare.Checked, mesh: Mesh | None = None):
        self.tokenizer = checked.checkpoint.tokenizer
        self.compute = transformer.default_compute(checked.run.dtype, mesh)
        self.model = hf.load(str(checked.checkpoint.folder), checked.run.quantize, progress=processes.first(), mesh=mesh)
        self._kept = {}

    def once(self, key: tuple, make: Callable):
        """make(), or what it gave when the key was first asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def activations(self, probe_set: probes.ProbeSet) -> np.ndarray:
        """The bare model's, [P,D]."""
        return self.once(("activations", probe_set.hash), lambda: self.capture(probe_set, None, None))

    def capture(self, probe_set: probes.ProbeSet, adapter, spec: lora.Spec | None) -> np.ndarray:
        ids = self.once(("ids", probe_set.hash), lambda: self.tokenizer.encode(probe_set.texts))
        return capture.capture(self.model, ids, adapter, spec, compute=self.compute)


def shared(run: specs.Run) -> tuple:
    """Runs equal in this can share a `Base` on one mesh."""
    return run.model, run.quantize, run.dtype, prepare.rows(run)


def execute(checked: prepare.Checked, base: Base, corpus: corpora.Corpus, out: pathlib.Path, progress: bool = True) -> dict:
    """Trains and measures a run that `prepare.begin` began, from its newest checkpoint if it has one: summary.json's content.

    Raises `penalty.NoGradient` or `loop.NonFinite`.
    """
    [ended] = together([(checked, corpus, out)], base, progress)
    if isinstance(ended, loop.NonFinite):
        raise ended
    return ended


def together(
    begun: Sequence[tuple[prepare.Checked, corpora.Corpus, pathlib.Path]], base: Base, progress: bool = True
) -> list[dict | loop.NonFinite]:
    """`execute` of runs that differ in nothing but their seed, in one step: each one's summary, or what ended it."""
    checked, _, out = begun[0]
    if checked.run.mixture is None:
        found = {"step": 0, **_measure(checked, base, None)}
        _write(out / "metrics.jsonl", json.dumps({"kind": "measure", **found}) + "\n")
        return [_summary(checked, base, None, out)]
    run = checked.run
    hyper = dataclasses.replace(run.hyper, micro_rows=run.micro_rows * axes.ways(base.compute.mesh, "batch"))
    plan = loop.Plan(hyper, run.spec, base.compute, run.measure_every, run.save_every)
    read = steps.held_here(run.examples, hyper.micro_rows, base.compute.mesh)
    states = loop.fit(base.model, plan, [_lane(*one, base, read) for one in begun], _anchor(checked, base), progress)
    return [s if isinstance(s, loop.NonFinite) else _finish(one, base, s.adapter, out) for s, (one, _, out) in zip(states, begun)]


def _lane(checked: prepare.Checked, corpus: corpora.Corpus, out: pathlib.Path, base: Base, read: np.ndarray | None) -> loop.Lane:
    run = checked.run
    start = axes.host(peft.load(str(checked.start), base.model.config)[0]) if checked.start else None
    batch_at = lambda index: corpus.batch(run.mixture, run.seed, index, checked.length, run.examples, run.packing, read)
    return loop.Lane(run.seed, batch_at, lambda adapter: _measure(checked, base, adapter), out, start)


def _finish(checked: prepare.Checked, base: Base, adapter, out: pathlib.Path) -> dict:
    host = axes.host(adapter)
    processes.by_first(lambda: peft.save(host, checked.run.spec, out / "adapter", checked.run.model))
    return _summary(checked, base, adapter, out)


def _summary(checked: prepare.Checked, base: Base, adapter, out: pathlib.Path) -> dict:
    of_adapter = _of_adapter(checked, base, adapter, out)
    found = concepts.plain(summarise(log.read(out / "metrics.jsonl")) | of_adapter) if processes.first() else {}
    _write(out / "summary.json", json.dumps(found, indent=1) + "\n")
    return found


def _write(file: pathlib.Path, text: str) -> None:
    processes.by_first(lambda: records.write(file, text))


def _measure(checked: prepare.Checked, base: Base, adapter) -> dict:
    """The record of a measurement; every process runs the model, the first one alone the estimators."""
    started = time.perf_counter()
    x = base.capture(checked.probes, adapter, checked.run.spec)
    base.activations(checked.probes)
    if not processes.first():
        return {}
    labels = base.once(("labels", checked.probes.hash), lambda: concepts.label(checked.probes.labels))
    found = entangle.measure(x, labels).to_json()
    about = {"probe_set": checked.probes.name, "probe_hash": checked.probes.hash, "dtype": str(base.compute.dtype), "layer": base.model.config.layers,
             "pooling": capture.Where().pooling}  # fmt: skip
    return found | about | {"drift": _drift(checked.run, base, checked.probes, x), "seconds": time.perf_counter() - started}


def _drift(run: specs.Run, base: Base, probe_set: probes.ProbeSet, x: np.ndarray) -> dict:
    """`penalty.movement` from the bare model's activations, about their subspace of CSR's target (no dimension if it is no domain)."""
    before = base.activations(probe_set)
    members = [p.domain == run.csr_target for p in probe_set.probes]
    fit = lambda: penalty.subspace(before[members], run.csr_variance, run.csr_centred)
    key = ("subspace", probe_set.hash, run.csr_target, run.csr_variance, run.csr_centred)
    basis = base.once(key, fit) if any(members) else np.zeros((before.shape[1], 0))
    return dataclasses.asdict(penalty.movement(x, before, basis))


def _anchor(checked: prepare.Checked, base: Base) -> penalty.Anchor | None:
    """CSR's anchor, once its penalty is seen to reach the adapter."""
    run = checked.run
    if run.csr is None:
        return None
    micro_tokens = max(_PROBE_TOKENS, run.micro_rows * checked.length)
    unit = dataclasses.replace(run.csr, weight=1.0)

    def make() -> penalty.Anchor:
        ids = base.tokenizer.encode(checked.csr_probes.texts)
        anchor = penalty.prepare(base.model, ids, [p.domain for p in checked.csr_probes.probes], unit, micro_tokens, base.compute)
        plan = loop.Plan(run.hyper, run.spec, base.compute)
        penalty.check(base.model, loop.fresh(base.model, plan, run.seed).adapter, anchor, run.spec, base.compute)
        return anchor

    anchor = base.once(("anchor", checked.csr_probes.hash, unit, micro_tokens, run.spec), make)
    kept, d = anchor.subspace.shape[::-1]
    if processes.first():
        print(f"CSR: {kept} of {d} dimensions hold {run.csr_variance:.0%} of {run.csr_target}'s variance; lambda {run.csr_lambda:g} "
              f"acts on one step in {run.csr_every}")  # fmt: skip
    return penalty.weighted(anchor, run.csr_lambda, base.compute)


def summarise(found: list[dict]) -> dict:
    """summary.json's part that metrics.jsonl tells: what was measured before and after, loss, tokens and time of all parts of a run.

    drift: of the measurement's probes. csr_ratio: mean |grad CSR| / |grad LM| over CSR steps. final_loss: mean of the last 20
    steps. seconds: of steps and measurements, first compilations included.
    """
    measured, trained = ([r for r in found if r["kind"] == kind] for kind in ("measure", "train"))
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


def _of_adapter(checked: prepare.Checked, base: Base, adapter, out: pathlib.Path) -> dict:
    """summary.json's part about the adapter: hash, SV energy, and with CSR's probes (B4's even at lambda 0) their drift."""
    if adapter is None:
        return {"adapter_hash": None, "sv_energy": None, "csr_drift": None}
    run, found = checked.run, energy.energy(base.model, adapter, checked.run.spec)
    csr_drift = None
    if checked.csr_probes:
        csr_drift = _drift(run, base, checked.csr_probes, base.capture(checked.csr_probes, adapter, run.spec))
    return {
        "adapter_hash": prepare.file_hash(out / "adapter" / "adapter_model.safetensors"),
        "sv_energy": {"total": found.total, "modules": found.modules},
        "csr_drift": csr_drift,
    }
