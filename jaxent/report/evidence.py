"""What the runs say about one quantity of one cell: the values a claim's test is given, or why there are none."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.runs import records
from jaxent.stats import differences, intervals, proportions


class Missing(Exception):
    """What a claim needs and these runs do not have, in a sentence."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One quantity of one cell: name of the cell, a value a seed, a value a replicate set [R] or None.

    interval: where a record has one and no sets' values. passed: of coding, the share passed of each problem, by task.
    trained: whether other seeds could differ, which a base model has not.
    """

    name: str
    values: np.ndarray
    sets: np.ndarray | None = None
    interval: tuple[float, float] | None = None
    passed: Mapping[str, float] | None = None
    trained: bool = True

    @property
    def text(self) -> str:
        """The numbers, as a verdict prints them."""
        if self.passed is not None:
            passes, n = sum(self.passed.values()), len(self.passed)
            return f"{self.name}: {passes:g} of {n} ({100 * passes / n:.1f}%)"
        found = (
            intervals.over_seeds(self.values)
            if np.isfinite(self.values).all()
            else None
        )
        if found is None:
            return f"{self.name}: {', '.join('never' if np.isinf(v) else f'{v:g}' for v in self.values)}"
        spread = f" ± {found.sd:.3g} ({found.n} seeds)" if found.n > 1 else ""
        ends = (
            f" [{self.interval[0]:.3g}, {self.interval[1]:.3g}]"
            if self.interval
            else ""
        )
        return f"{self.name}: {found.mean:.4g}{spread}{ends}"


_NAMES = {"ei_after": "ei", "ei_before": "ei"}
COMPANIONS = {"B2": "math", "B3": "nl", "B6": "creative"}


def sample(shelf: match.ResultSet, metric: str, key: Mapping) -> Sample:
    """The quantity of the cell `key`; Missing if no finished run has it."""
    if metric in ("ei_before", "margin"):
        return _of_base(shelf, _NAMES.get(metric, metric), key)
    if metric == "ct":
        return _crosstalk(shelf, key)
    if metric == "he_plus":
        return _coding(shelf, key)
    if metric == "sv_energy":
        return _energy(shelf, key)
    if metric == "lean":
        return _lean(shelf, key)
    if metric == "recovers":
        return Sample(
            name(key), np.array([float(recovers(p.record)) for p in runs(shelf, key)])
        )
    if metric == "steps_to_zero":
        return Sample(
            name(key), np.array([steps_to_zero(p.record) for p in runs(shelf, key)])
        )
    return measured(shelf, _NAMES.get(metric, metric), key, key.get("step"))


def measured(
    shelf: match.ResultSet, quantity: str, key: Mapping, step: int | str | None = None
) -> Sample:
    """An estimator of a cell's runs at a step: a number, "before", or None for the end."""
    found = []
    for placed in runs(shelf, {n: v for n, v in key.items() if n != "step"}):
        run = placed.record
        at = (
            run.before
            if step == "before"
            else run.after
            if step is None
            else run.at(step)
        )
        if at is None:
            raise Missing(f"{name(key)}: {run.folder} was not measured at step {step}")
        if at.value(quantity) is None:
            raise Missing(
                f"{quantity} of {run.folder} is undefined: {at.reason(quantity)}"
            )
        found.append(at)
    named = f"{name(key)} {step}" if step == "before" else name(key)
    return Sample(
        named,
        np.array([m.value(quantity) for m in found], float),
        table_values.pool(found, quantity),
    )


def runs(shelf: match.ResultSet, key: Mapping) -> list[match.KeyedResult]:
    """The cell's finished runs, by seed; Missing if there are none."""
    found = [p for p in shelf.finished if match.matches(key, p.key)]
    if not found:
        raise Missing(f"{name(key)} was not run")
    return sorted(found, key=lambda p: p.key.get("seed", 0))


def short(model: str) -> str:
    """A model's name as the paper shortens it."""
    return model.replace("Qwen2.5-Coder-", "Qwen-").replace("-v0.3", "")


def name(key: Mapping) -> str:
    """A cell in words."""
    parts = [
        short(key.get("model", "")),
        key.get("condition", "")
        if key.get("condition") != "B0" or "companion" not in key
        else "",
    ]
    parts += ["light"] * (key.get("intervention") == "light")
    named = (
        ("lambda", "lambda {:g}"),
        ("step", "step {}"),
        ("companion", "code with {}"),
    )
    parts += [form.format(key[n]) for n, form in named if n in key]
    return " ".join(filter(None, parts))


def steps_to_zero(run: records.Run) -> float:
    """The first measured step from which EI is 0 to the end; infinite if it is not 0 at the end."""
    first = np.inf
    for one in reversed(run.measured):
        if one.value("ei") != 0:
            break
        first = one.step
    return first


def recovers(run: records.Run) -> bool:
    """Whether EI, once 0, is above 0 again at a later measurement, and 0 at the last."""
    path = [one.value("ei") for one in run.measured]
    after_zero = path[path.index(0) :] if 0 in path else []
    return bool(after_zero) and path[-1] == 0 and any(v for v in after_zero)


def _energy(shelf: match.ResultSet, key: Mapping) -> Sample:
    found = [
        (p.record.summary.get("sv_energy") or {}).get("total") for p in runs(shelf, key)
    ]
    if any(v is None for v in found):
        raise Missing(f"SV energy of {name(key)} is not recorded")
    return Sample(name(key), np.array(found, float))


def _of_base(shelf: match.ResultSet, quantity: str, key: Mapping) -> Sample:
    found = table_values.bases(shelf).get(key["model"])
    if not found:
        raise Missing(f"the base model {key['model']} was not measured")
    if found[0].value(quantity) is None:
        raise Missing(
            f"{quantity} of {key['model']} is undefined: {found[0].reason(quantity)}"
        )
    return Sample(
        name(key),
        np.array([found[0].value(quantity)]),
        found[0].sets(quantity),
        trained=False,
    )


def _crosstalk(shelf: match.ResultSet, key: Mapping) -> Sample:
    """Of a base model's pair with code, or of a condition's companion, whatever model the crosstalk was measured on."""
    companion = key.get("companion") or COMPANIONS.get(key["condition"])
    if companion == "nl":
        raise Missing(
            "natural language is no domain of the crosstalk probes (in the paper neither)"
        )
    rows = [
        (k, v["ct"])
        for k, v in table_values.crosstalk(shelf)
        if k["companion"] == companion and k["condition"] == "B0"
    ]
    rows = [
        (k, v) for k, v in rows if "companion" not in key or k["model"] == key["model"]
    ]
    if not rows:
        raise Missing(f"crosstalk of code with {companion} was not measured")
    value = rows[0][1]
    if value.mean is None:
        raise Missing(f"crosstalk of code with {companion} is undefined: {value.why}")
    named = (
        name(key)
        if "companion" in key
        else f"{key['condition']}, code with {companion} in {short(rows[0][0]['model'])}"
    )
    return Sample(
        named,
        np.array([value.mean]),
        interval=None if value.low is None else (value.low, value.high),
    )


def _lean(shelf: match.ResultSet, key: Mapping) -> Sample:
    """How much more code loses without the companion's direction than the companion without code's: (D_ab - D_ba) / (|D_ab| + |D_ba|)."""
    wanted = key["companion"]
    for placed in shelf.crosstalks:
        found = placed.record.found
        pair = next(
            (
                p
                for p in found["damage"]["raw"]["pairs"]
                if {p["a"], p["b"]} == {"code", wanted}
            ),
            None,
        )
        if pair is None or not match.matches(
            {"model": key["model"], "condition": "B0"}, placed.key
        ):
            continue
        if pair["lean"] is None:
            raise Missing(
                f"the asymmetry of code with {wanted} is undefined: neither loses anything"
            )
        side = 1 if pair["a"] == wanted else -1
        spread = (
            found.get("intervals", {})
            .get("raw", {})
            .get(f"{pair['a']}|{pair['b']}", {})
            .get("lean")
        )
        known = spread and spread["low"] is not None
        ends = (
            tuple(sorted((side * spread["low"], side * spread["high"])))
            if known
            else None
        )
        return Sample(name(key), np.array([side * pair["lean"]]), interval=ends)
    raise Missing(f"crosstalk of code with {wanted} was not measured")


def _coding(shelf: match.ResultSet, key: Mapping) -> Sample:
    found = [p for p in shelf.evaluations if match.matches(key, p.key)]
    if not found:
        raise Missing(f"{name(key)} was not evaluated on HumanEval+")
    every = [p.record.passed["plus"] for p in found]
    if any(e.keys() != every[0].keys() for e in every):
        raise Missing(f"{name(key)}: its evaluations are of different problems")
    passed = {task: float(np.mean([e[task] for e in every])) for task in every[0]}
    return Sample(
        name(key),
        np.array([100 * np.mean(list(e.values())) for e in every]),
        passed=passed,
    )


def problems(*samples: Sample) -> list[np.ndarray]:
    """What each passed [n], the same problems in the same order; Missing if they differ."""
    if any(s.passed.keys() != samples[0].passed.keys() for s in samples):
        raise Missing(
            f"{samples[0].name} and others were evaluated on different problems"
        )
    return [np.array([s.passed[task] for task in samples[0].passed]) for s in samples]


def compare(
    a: Sample, b: Sample, paired: bool = False, level: float = 0.95
) -> differences.Difference:
    """a minus b with what intervals there can be: over problems for coding, else over seeds and replicate sets."""
    if a.passed is not None:
        return _compare_problems(*problems(a, b), level)
    if a.interval and b.interval:
        ends = (a.interval[0] - b.interval[1], a.interval[1] - b.interval[0])
        text = f"difference of the ends of the two intervals over replicate sets [{ends[0]:.3g}, {ends[1]:.3g}], which is conservative"
        return differences.Difference(
            float(a.values.mean() - b.values.mean()), None, ends, text
        )
    found = differences.difference(a.values, b.values, a.sets, b.sets, paired, level)
    alone = a.trained and found.seeds is None and found.sets is not None
    return (
        dataclasses.replace(
            found, test=f"{found.test} (one seed: nothing about others)"
        )
        if alone
        else found
    )


def _compare_problems(
    a: np.ndarray, b: np.ndarray, level: float
) -> differences.Difference:
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        found = proportions.paired(a == 1, b == 1, level)
        ends = (100 * found.difference.low, 100 * found.difference.high)
        text = f"{found.only_a} against {found.only_b} problems passed by one alone, exact McNemar p = {found.p.two_sided:.3g}"
        if ends[0] == ends[0]:  # not NaN: there are such problems
            text += f"; paired bootstrap [{ends[0]:.1f}, {ends[1]:.1f}] points"
        return differences.Difference(
            100 * found.difference.estimate,
            None,
            ends,
            text,
            found.p.two_sided < 1 - level,
        )
    ends = intervals.t_interval(100 * (a - b), level)
    return differences.Difference(
        100 * float(np.mean(a - b)),
        None,
        ends,
        f"t over {len(a)} problems, seeds averaged [{ends[0]:.1f}, {ends[1]:.1f}] points",
    )
