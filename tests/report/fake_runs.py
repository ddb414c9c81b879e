"""Run folders as the experiments write them, with invented numbers, for tests only."""

import json

import numpy as np

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


def _intervals(means, sets):
    """An interval 0.2 wide about each mean that is defined."""
    return {
        name: {"mean": v, "low": v - 0.1, "high": v + 0.1, "sets": sets}
        for name, v in means.items()
        if v is not None
    }


def _set_values(rng, ei, purity, accuracy, margin, sets):
    """What each replicate set has of its own."""
    off = (
        [0] * sets
        if not ei
        else [max(0, round(ei * 40 + d)) for d in rng.integers(-1, 2, sets)]
    )

    def jitter(value):
        return (value + rng.normal(0, 0.002, sets)).tolist()

    return {
        "own_flips": [40] * sets,
        "off_flips": off,
        "nested_own_flips": [40] * sets,
        "nested_off_flips": off,
        "sei": jitter(0.2),
        "v_purity": jitter(purity),
        "overlap": jitter(0.1),
        **{f"accuracy.{c}": jitter(accuracy) for c in CONCEPTS},
        **{f"margin.{c}": jitter(margin) for c in CONCEPTS},
    }


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
    set_values = _set_values(rng, ei, purity, accuracy, margin, sets)
    means = {
        "ei": ei,
        "sei": 0.2,
        "cvo": 0.3,
        "v_purity": purity,
        "accuracy.domain": accuracy,
    }
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
        "off_flips": sum(set_values["off_flips"]),
        "accuracy": dict.fromkeys(CONCEPTS, accuracy),
        "margins": dict.fromkeys(CONCEPTS, margin),
        "weakest": "shape",
        "damage": [[0.1, 0.02, 0.01]] * rank,
        "own": [0] * rank,
        "singular": [1.0] * rank,
        "intervals": _intervals(means, sets),
        "set_values": set_values,
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
        "probes": 480,
        "sets": 5,
        "command": ["experiments/crosstalk.py", "--probes=hexad"],
        **ORIGIN,
    } | about
    (folder / "crosstalk.json").write_text(json.dumps(found))
    return folder
