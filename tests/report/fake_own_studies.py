"""Results of the studies beyond the paper, with invented numbers, for tests only."""

import json

from fake_runs import ORIGIN


def _judgement(right, rho, p):
    counts = {"right": right, "pairs": 3, "clear_right": right, "clear_pairs": 3}
    return counts | {"rho": rho, "p": p}


def companion_metric(root, model, check=True):
    """A companion metric: crosstalk orders one pair rightly, two axes all."""
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
        "crosstalk": _judgement(1, -0.5, 1.0),
        "two axes": _judgement(3, 1.0, 1 / 3),
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
    """A validity.json of one panel, EI undefined in some draws of both points."""

    def of(mean, defined=4):
        return {
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
