"""One run, from its specification to a finished run folder.

run.json: settings, hashes, versions, device. metrics.jsonl: train and measure records. checkpoints/. adapter/: PEFT's format.
summary.json, written last: a run folder is finished once it is there.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import lora
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
    """A base model in memory, and what runs on it share, each made once: probe activations, subspaces, CSR's anchor."""

    def __init__(self, checked: prepare.Checked):
        self.tokenizer = checked.checkpoint.tokenizer
        self.compute = transformer.default_compute(checked.run.dtype)
        self.model = hf.load(str(checked.checkpoint.folder), checked.run.quantize, progress=True)
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
    """Runs equal in this can share a `Base`."""
    return run.model, run.quantize, run.dtype


def execute(checked: prepare.Checked, base: Base, corpus: corpora.Corpus, out: pathlib.Path, progress: bool = True) -> dict:
    """Trains and measures a run that `prepare.begin` began, from its newest checkpoint if it has one: summary.json's content.

    Raises `penalty.NoGradient` or `loop.NonFinite`.
    """
    run = checked.run
    if run.mixture is None:
        found = {"step": 0, **_measure(checked, base, None)}
        records.write(out / "metrics.jsonl", json.dumps({"kind": "measure", **found}) + "\n")
        adapter = None
    else:
        adapter = _train(checked, base, corpus, out, progress)
        peft.save(adapter, run.spec, out / "adapter", run.model)
    summary = concepts.plain(summarise(log.read(out / "metrics.jsonl")) | _of_adapter(checked, base, adapter, out))
    records.write(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def _train(checked: prepare.Checked, base: Base, corpus: corpora.Corpus, out: pathlib.Path, progress: bool):
    run = checked.run
    plan = loop.Plan(run.hyper, run.spec, base.compute, run.seed, run.measure_every, run.save_every)
    start = steps.init(peft.load(str(checked.start), base.model.config)[0], run.hyper) if checked.start else None
    batch_at = lambda index: corpus.batch(run.mixture, run.seed, index, checked.length, run.examples, run.packing)
    measure = lambda adapter: _measure(checked, base, adapter)
    return loop.fit(base.model, plan, batch_at, measure, out, start, _anchor(checked, base), progress).adapter


def _measure(checked: prepare.Checked, base: Base, adapter) -> dict:
    started = time.perf_counter()
    x = base.capture(checked.probes, adapter, checked.run.spec)
    labels = base.once(("labels", checked.probes.hash), lambda: concepts.label(checked.probes.labels))
    found = entangle.measure(x, labels).to_json()
    return found | {"drift": _drift(checked.run, base, checked.probes, x), "seconds": time.perf_counter() - started}


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
        fresh = lora.init(jax.random.key(run.seed), run.spec, base.model.config.layers, transformer.shapes(base.model.config))
        penalty.check(base.model, fresh, anchor, run.spec, base.compute)
        return anchor

    anchor = base.once(("anchor", checked.csr_probes.hash, unit, micro_tokens, run.spec), make)
    kept, d = anchor.subspace.shape[::-1]
    print(f"CSR: {kept} of {d} dimensions hold {run.csr_variance:.0%} of {run.csr_target}'s variance; lambda {run.csr_lambda:g} "
          f"acts on one step in {run.csr_every}")  # fmt: skip
    return dataclasses.replace(anchor, weight=jnp.float32(run.csr_lambda))


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
