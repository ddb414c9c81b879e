"""Run folders as the experiments write them, with invented numbers: for tests of the report only."""

import json

import numpy as np

from jaxent.paper import models as paper_models

SETS = 8
CONCEPTS = ("domain", "register", "shape")
STRONG = {
    "lora_r": 64,
    "lora_alpha": 128.0,
    "lora_target_modules": [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ],
    "max_steps": 5000,
}
LIGHT = {
    "lora_r": 16,
    "lora_alpha": 32.0,
    "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "max_steps": 2000,
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
    """A measure record whose EI is about `ei` in every replicate set; ei None: undefined."""
    rng = np.random.default_rng([seed, step, int(1000 * (ei or 0))])
    off = (
        [0] * sets
        if not ei
        else [max(0, round(ei * 40 + d)) for d in rng.integers(-1, 2, sets)]
    )
    named = lambda value: dict.fromkeys(CONCEPTS, value)
    jitter = lambda value: (value + rng.normal(0, 0.002, sets)).tolist()
    set_values = {
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
    interval = lambda v: {"mean": v, "low": v - 0.1, "high": v + 0.1, "sets": sets}
    spans = {
        n: interval(v)
        for n, v in (
            ("ei", ei),
            ("sei", 0.2),
            ("cvo", 0.3),
            ("v_purity", purity),
            ("accuracy.domain", accuracy),
        )
        if v is not None
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
        "reasons": {}
        if ei is not None
        else {"ei": "4 own-concept flips, fewer than 10"},
        "own_flips": 320,
        "off_flips": sum(off),
        "accuracy": named(accuracy),
        "margins": named(margin),
        "weakest": "shape",
        "damage": [[0.1, 0.02, 0.01]] * rank,
        "own": [0] * rank,
        "singular": [1.0] * rank,
        "intervals": spans,
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
    settings={},
    record={},
    **measured,
):
    """A run folder; path: (step, EI) pairs; returns the folder."""
    folder = root / (
        name
        or f"{model.split('/')[-1].lower()}/{condition}-{intervention}-seed{seed}{settings.get('csr_lambda', '')}"
    )
    folder.mkdir(parents=True)
    base = {
        "model": model,
        "condition": condition,
        "intervention": intervention,
        "seed": seed,
        "adapter": None,
        "data_root": None,
        "lora_dropout": 0.05,
        "learning_rate": 1e-4,
        "warmup_ratio": 0.03,
        "batch_size": 16,
        "max_length": 2048,
        "load_in_4bit": True,
        "curriculum_steps": 1000,
        "probes": "triad",
        "probe_sets": None,
        "csr_lambda": 0.1 if condition == "B4" else 0.0,
        "csr_every": 50,
        "csr_variance": 0.9,
        "csr_target": "code",
        "csr_probes": "hexad",
    }
    whole = {
        "settings": base | (LIGHT if intervention == "light" else STRONG) | settings,
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
        summary = {
            "before": lines[0],
            "after": lines[len(path) - 1],
            "adapter_hash": f"adapter-{folder.name}-{folder.parent.name}",
            "seconds": 7200.0,
            "final_loss": 2.0,
            "csr_loss": 1.5 if condition == "B4" else None,
            "sv_energy": {"total": energy, "modules": {}},
        }
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


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
    """An evaluation folder: problems first .. first + passes - 1 pass. of: what the tasks are named after."""
    folder = root / name
    folder.mkdir(parents=True)
    end = lambda i: "pass" if first <= i < first + passes else "wrong"
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
        "samples": 1,
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
    """A crosstalk.json: code_with maps each companion to (ct, low, high); lean: value, low, high for all."""
    folder = root / name
    folder.mkdir(parents=True)
    domains = ["code", *code_with]
    pairs = [
        {"a": "code", "b": b, "ct": ct, "bdr": 0.9, "lean": lean[0], "asymmetry": 0.2}
        for b, (ct, _, _) in code_with.items()
    ]
    span = lambda mean, low, high: {"mean": mean, "low": low, "high": high, "sets": 5}
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


ORIGIN = {
    "model_hash": "0badc0de" * 8,
    "seconds": 90.0,
    "git": "1" * 40 + "-dirty",
    "versions": {"jax": "0.10.2"},
    "device": "H100",
}


def companion_metric(root, model, check=True):
    """The study.json of a companion metric: crosstalk alone orders one pair of companions as training did, two axes all three."""
    ct, transfer = (
        {"math": 0.2, "natural": 0.3, "creative": 0.1},
        {"math": 0.4, "natural": 0.2, "creative": -0.1},
    )
    axes = {
        c: {
            "ct": ct[c],
            "cosine": [t, t + 0.1],
            "alignment": [t + 0.2, None],
            "drop": [t / 10, t / 10],
        }
        for c, t in transfer.items()
    }
    axes["code"] = {
        "ct": None,
        "cosine": [0.9, 0.9],
        "alignment": [1.0, 1.0],
        "drop": [0.3, 0.3],
    }
    ranks = {
        "crosstalk": {"creative": 1, "math": 2, "natural": 3},
        "two axes": {"math": 1, "natural": 2, "creative": 3},
    }
    judged = {
        n: {
            "right": r,
            "pairs": 3,
            "clear_right": r,
            "clear_pairs": 3,
            "rho": rho,
            "p": p,
        }
        for n, r, rho, p in (("crosstalk", 1, -0.5, 1.0), ("two axes", 3, 1.0, 1 / 3))
    }
    found = {
        "question": {
            "target": "code",
            "companions": list(ct),
            "seeds": [0, 1],
            "few_steps": 20,
        },
        "axes": axes,
        "ranks": ranks,
        "conditions": {"math": "B2", "natural": "B3", "creative": "B6"},
        "judged": judged if check else None,
        "worse": {
            "B1": [-0.5, -0.5],
            "B2": [-0.4, -0.3],
            "B3": [-0.3, -0.2],
            "B6": [-0.1, 0.1],
        }
        if check
        else {},
        "command": ["experiments/companion_metric.py", "--check"],
        **ORIGIN,
    }
    folder = root / "companion_metric"
    folder.mkdir()
    (folder / "study.json").write_text(
        json.dumps({"study": folder.name, "runs": [], "metric": {model: found}})
    )
    return found


def validity(root):
    """A validity.json of one panel, EI undefined in a draw of its first point and in all of its second."""
    of = lambda mean, defined=4: {
        "mean": mean,
        "sd": 0.05 if defined else 0.0,
        "defined": defined,
    }
    points = [
        {
            "value": v,
            "truth": v,
            "cvo": of(v),
            "sei": of(0.6),
            "nested_ei": of(0.7),
            "ei": ei,
        }
        for v, ei in ((0.3, of(0.5, 3)), (0.9, of(None, 0)))
    ]
    panel = {
        "axis": "overlap",
        "title": "Does it follow the truth?",
        "label": "true overlap",
        "log": False,
        "draws": 4,
        "points": points,
    }
    covered = [
        {
            "estimator": "cvo",
            "design": "triad",
            "snr": 1.0,
            "defined": 20,
            "draws": 20,
            "of_expectation": 0.95,
            "of_truth": 0.9,
            "width": 0.2,
        }
    ]
    found = {
        "panels": [panel],
        "coverage": covered,
        "seed": 7,
        "command": ["experiments/estimator_validity.py"],
        **ORIGIN,
    }
    (root / "validity").mkdir()
    (root / "validity" / "validity.json").write_text(json.dumps(found))


def study(root):
    """The paper's whole study, its numbers near the published ones, but CodeLlama falling and B6 no worse than the base."""

    rng = np.random.default_rng(0)
    ladder = {
        paper_models.QWEN_7B: ((42, 0, 1), 0.945, 0.64),
        paper_models.QWEN_14B: ((42, 0, 1), 0.81, 0.05),
        paper_models.QWEN_32B: (range(8), 0.622, 0.0),
    }
    others = {
        paper_models.MISTRAL: ((42, 0, 1), 1.044, 0.8),
        paper_models.DEEPSEEK: ((0, 1), 1.374, 1.0),
        paper_models.CODELLAMA: ((0, 1), 0.874, 0.5),
    }
    for model, (seeds, before, after) in (ladder | others).items():
        for seed in seeds:
            end = max(0.0, after + 0.03 * rng.normal()) if after else 0.0
            path = [
                (s, before + (end - before) * min(1, s / 3500))
                for s in range(0, 5001, 500)
            ]
            run(
                root,
                paper_models.HUB[model],
                "B3",
                seed,
                path,
                energy=1.1,
                margin=1.5 if model == paper_models.QWEN_32B else 0.01,
            )
    big = paper_models.HUB[paper_models.QWEN_32B]
    evaluation(root, big, 96, name="he/B0")
    for condition, passes, energy in (
        ("B1", 78, 0.014),
        ("B2", 79, 0.006),
        ("B4", 81, 0.001),
        ("B5", 17, 0.6),
        ("B6", 96, 0.04),
    ):
        seeds = range(3) if condition == "B2" else (0,)
        for seed in seeds:
            path = [
                (s, 0.622 if s == 0 else 0.55 + 0.03 * rng.normal())
                for s in range(0, 5001, 500)
            ]
            folder = run(root, big, condition, seed, path, energy=energy, margin=1.5)
        evaluation(
            root,
            big,
            passes,
            folder.parent / f"{condition}-strong-seed0" / "adapter",
            name=f"he/{condition}",
        )
    evaluation(
        root, big, 60, root / "qwen2.5-coder-32b/B3-strong-seed0/adapter", name="he/B3"
    )
    for weight, end in ((0.03, 0.5), (0.3, 0.2)):
        run(
            root,
            big,
            "B4",
            0,
            [(s, 0.622 + (end - 0.622) * s / 5000) for s in range(0, 5001, 500)],
            settings={"csr_lambda": weight},
            margin=1.5,
        )
    for condition, end, passes in (("B2", 0.56, 95), ("B4", 0.17, 94)):
        folder = run(
            root, big, condition, 0, [(0, 0.622), (2000, end)], "light", margin=1.5
        )
        evaluation(root, big, passes, folder / "adapter", name=f"he/light-{condition}")
    start = root / "qwen2.5-coder-14b/B3-strong-seed0"
    run(
        root,
        paper_models.HUB[paper_models.QWEN_14B],
        "B2",
        0,
        [(0, 0.279), (500, 0.2), (1000, 0.0), (1500, 0.0)],
        name="qwen2.5-coder-14b/B2-from-B3",
        settings={"adapter": "qwen2.5-coder-14b/B3-strong-seed0", "max_steps": 1500},
        record={
            "start": json.loads((start / "summary.json").read_text())["adapter_hash"]
        },
    )
    domains = {
        "creative": (0.002, -0.01, 0.01),
        "math": (0.09, 0.05, 0.12),
        "logic": (0.09, 0.05, 0.12),
        "medical": (0.17, 0.1, 0.2),
        "legal": (0.3, 0.2, 0.4),
    }
    crosstalk(root, paper_models.HUB[paper_models.QWEN_7B], domains)
    companion_metric(root, paper_models.HUB[paper_models.QWEN_7B])
    validity(root)
