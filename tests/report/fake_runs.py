"""Run folders as the experiments write them, with invented numbers, for tests only."""

import json

import numpy as np
import scipy.stats

from jaxent.paper import settings as paper_settings

SETS = 8
CONCEPTS = ("domain", "register", "shape")

ORIGIN = {
    "model_hash": "0badc0de" * 8,
    "seconds": 90.0,
    "git": "1" * 40 + "-dirty",
    "versions": {"jax": "0.10.2"},
    "device": "H100",
}


def _intervals(values, set_values, sets):
    """The t interval over the sets of each value that is defined and varies."""
    quantile = scipy.stats.t.ppf(0.975, sets - 1)
    spans = {}
    for name, value in values.items():
        contributions = set_values.get(name)
        if value is None or not contributions or not np.ptp(contributions):
            continue
        half = quantile * np.std(contributions, ddof=1) / sets**0.5
        span = {"mean": value, "low": value - half, "high": value + half}
        spans[name] = span | {"sets": sets}
    return spans


def _set_values(rng, values, sets):
    """Contributions about each value, whose mean it is; of 0 the floor in every set."""
    spread = {"ei": 0.02, "nested_ei": 0.02, "cvo": 0.01}

    def about(name, value):
        if value is None:
            return [None] * sets
        noise = rng.normal(0, spread.get(name, 0.002), sets) * bool(value)
        return (value + noise - noise.mean()).tolist()

    return {name: about(name, value) for name, value in values.items()}


def measurement(
    step=0,
    ei=0.5,
    purity=0.62,
    accuracy=0.95,
    rank=8,
    margin=0.01,
    seed=0,
    sets=SETS,
    **more,
):
    """A measure record: EI about `ei` in every replicate set; ei None: undefined."""
    reasons = {} if ei is not None else {"ei": "4 own-concept flips, fewer than 10"}
    rng = np.random.default_rng([seed, step, int(1000 * (ei or 0))])
    single = {"ei": ei, "nested_ei": ei, "sei": 0.2, "overlap": 0.1, "cvo": 0.3}
    values = single | {"v_purity": purity}
    values |= {f"accuracy.{c}": accuracy for c in CONCEPTS}
    values |= {f"margin.{c}": margin for c in CONCEPTS}
    set_values = _set_values(rng, values, sets)
    all_probes = single | {"v_purity": purity}
    all_probes |= {name: value and value / 2 for name, value in single.items()}
    del all_probes["cvo"]
    return {
        "kind": "measure",
        "step": step,
        "ei": ei,
        "nested_ei": ei,
        "sei": 0.2,
        "overlap": 0.1,
        "cvo": 0.3,
        "v_purity": purity,
        "v_purity_null": [0.585, 0.05],
        "reasons": reasons,
        "own_flips": 320,
        "off_flips": round(320 * (ei or 0)),
        "accuracy": dict.fromkeys(CONCEPTS, accuracy),
        "margins": dict.fromkeys(CONCEPTS, margin),
        "weakest": "shape",
        "damage": [[0.1, 0.02, 0.01]] * rank,
        "own": [0] * rank,
        "singular": [1.0] * rank,
        "intervals": _intervals(values, set_values, sets),
        "set_values": set_values,
        "all_probes": all_probes
        | {
            "accuracy": dict.fromkeys(CONCEPTS, accuracy),
            "margins": dict.fromkeys(CONCEPTS, margin),
        },
        "probes": 48 * sets,
        "sets": sets,
        **more,
    }


def run(
    root,
    model,
    condition,
    seed=0,
    path=((0, 0.6), (5000, 0.3)),
    intervention="strong",
    energy=0.01,
    name=None,
    finished=True,
    settings=None,
    record=None,
    **measured,
):
    """A run folder; path: (step, EI) pairs; returns the folder."""
    settings, record = settings or {}, record or {}
    folder = root / (
        name
        or f"{model.split('/')[-1].lower()}/{condition}-{intervention}"
        f"-seed{seed}{settings.get('csr_lambda', '')}"
    )
    folder.mkdir(parents=True)
    base = {
        "model": model,
        "condition": condition,
        "intervention": intervention,
        "seed": seed,
        "adapter": None,
        "csr_lambda": 0.1 if condition == "B4" else 0.0,
        **paper_settings.CSR,
    }
    whole = {
        "settings": base | dict(paper_settings.INTERVENTIONS[intervention]) | settings,
        "command": ["experiments/finetune.py", f"--seed={seed}"],
        "probes": {"name": "triad", "number": 384, "hash": "feed"},
        "model_hash": "abcd1234",
        "git": "0" * 40,
        "versions": {"jax": "0.10.2"},
        "device": "H100",
        "start": None,
    } | record
    (folder / "run.json").write_text(json.dumps(whole))
    lines = [measurement(step, ei, seed=seed, **measured) for step, ei in path]
    lines += [
        {"kind": "train", "step": s, "loss": 3 - s / 5000, "seconds": 1.0}
        for s in range(100, path[-1][0] + 1, 100)
    ]
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    if finished:
        summary = _summary(folder, lines[: len(path)], energy)
        summary["csr_loss"] = 1.5 if condition == "B4" else None
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def _summary(folder, measured, energy):
    return {
        "before": measured[0],
        "after": measured[-1],
        "adapter_hash": f"adapter-{folder.name}-{folder.parent.name}",
        "seconds": 7200.0,
        "final_loss": 2.0,
        "sv_energy": {"total": energy, "modules": {}},
    }


def single(root, model, name="measure", layer=28, ei=0.5, **about):
    """A measure.json of one layer of a base model."""
    folder = root / name
    folder.mkdir(parents=True)
    found = (
        measurement(ei=ei)
        | {
            "model": model,
            "adapter": None,
            "layer": layer,
            "probe_set": "triad",
            "probe_hash": "feed",
            "pooling": "mean",
            "final_norm": True,
            "scale_free": False,
            "load_in_4bit": True,
            "alpha": 1.0,
            **ORIGIN,
        }
        | about
    )
    (folder / "measure.json").write_text(json.dumps([found]))


def evaluation(
    root,
    model,
    passes,
    adapter=None,
    name="evaluate",
    problems=164,
    subset="",
    first=0,
    of="HumanEval",
    **settings,
):
    """An evaluation folder: `passes` problems pass from `first` on; of: tasks' name."""
    folder = root / name
    folder.mkdir(parents=True)

    def end(i):
        return "pass" if first <= i < first + passes else "wrong"

    ended = [
        {
            "task_id": f"{of}/{i}",
            "base": "pass" if end(i) == "pass" or i % 9 == 0 else "wrong",
            "plus": end(i),
            "unrecorded": [],
        }
        for i in range(problems)
    ]
    (folder / "scores.json").write_text(json.dumps({"ended": ended, "subset": subset}))
    chosen = {
        "model": model,
        "adapter": adapter and str(adapter),
        "weights": "nf4",
        "max_new_tokens": 768,
        "temperature": 0.0,
        "n_samples": 1,
    } | settings
    (folder / "evaluation.json").write_text(
        json.dumps(
            {
                "settings": chosen,
                "subset": subset,
                "generation": {"seconds": 60.0},
                "device": "H100",
            }
        )
    )
    return folder


def crosstalk(
    root, model, code_with, name="crosstalk", lean=(0.2, None, None), **about
):
    """A crosstalk.json; code_with: (ct, low, high) by companion; lean: of all alike."""
    folder = root / name
    folder.mkdir(parents=True)
    domains = ["code", *code_with]
    pairs = [
        {"a": "code", "b": b, "ct": ct, "bdr": 0.9, "lean": lean[0], "asymmetry": 0.2}
        for b, (ct, _, _) in code_with.items()
    ]

    def span(mean, low, high):
        return {"mean": mean, "low": low, "high": high, "sets": 5}

    spans = {
        f"code|{b}": {"ct": span(*ct), "lean": span(*lean)}
        for b, ct in code_with.items()
    }
    damage = {"matrix": (np.eye(len(domains)) * 0.3).tolist(), "pairs": pairs}
    found = {
        "model": model,
        "adapter": None,
        "probe_set": "hexad",
        "probe_hash": "beef",
        "pooling": "mean",
        "load_in_4bit": True,
        "domains": domains,
        "recall": [0.9] * len(domains),
        "damage": {"raw": damage},
        "intervals": {"raw": spans},
        "cells": {},
        "all_probes": {"recall": [0.9] * len(domains), "damage": {"raw": damage}},
        "probes": 480,
        "sets": 5,
        "command": ["experiments/crosstalk.py", "--probes=hexad"],
        **ORIGIN,
    } | about
    (folder / "crosstalk.json").write_text(json.dumps(found))
    return folder
