"""Records to the measured values of every table, keyed as `paper`'s rows are: one pure function a kind of table.

Each takes a `match.ResultSet` and gives [(key, {column id: Value})], a row a group of runs, for `grid.published`
and, where the paper has no such row, `grid.measured`.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.runs import records
from jaxent.stats import differences, intervals, proportions


@dataclasses.dataclass(frozen=True)
class Value:
    """A measured value: mean of n seeds (n problems, for coding), SD (ddof 1), 95% interval.

    why: the reason if it is undefined, or what a reader has to know.

    sets: replicate sets the interval is over; None where it is of another kind. A str stands for itself.
    """

    mean: float | str | None
    sd: float | None = None
    n: int | None = None
    low: float | None = None
    high: float | None = None
    sets: int | None = None
    why: str | None = None


Rows = list[tuple[Mapping, Mapping[str, Value]]]
_RUN = {
    "ei": "ei",
    "sei": "sei",
    "cvo": "cvo",
    "nested_ei": "nested_ei",
    "v_purity": "v_purity",
    "domain_accuracy": "domain_accuracy",
}


def over(measurements: Sequence[records.Measured], name: str) -> Value:
    """One quantity of the same moment of several seeds."""
    values = [v for m in measurements if (v := m.value(name)) is not None]
    if not values:
        why = next((r for m in measurements if (r := m.reason(name))), "not measured")
        return Value(None, n=0, why=why)
    found = intervals.over_seeds(values)
    sd = found.sd if found.n > 1 else None
    short = (
        None
        if len(values) == len(measurements)
        else f"undefined in {len(measurements) - len(values)} of {len(measurements)} seeds"
    )
    interval, number = _over_sets(measurements, name)
    low, high = interval or (None, None)
    return Value(
        found.mean, sd, found.n, low, high, number if interval else None, short
    )


def _over_sets(measurements, name) -> tuple[tuple[float, float] | None, int]:
    """Over replicate sets: of one seed as it was measured, of several from the sets' means over seeds."""
    if len(measurements) == 1:
        return measurements[0].interval(name), measurements[0].found.get("sets", 0)
    pooled = pool(measurements, name)
    return (
        (None, 0) if pooled is None else (intervals.t_interval(pooled), len(pooled))
    )


def pool(measurements: Iterable[records.Measured], name: str) -> np.ndarray | None:
    """One value a replicate set [R], averaged over seeds; None unless all have it."""
    every = [m.sets(name) for m in measurements]
    if not every or any(e is None or len(e) != len(every[0]) for e in every):
        return None
    return np.mean(every, axis=0)


def _grouped(
    placed: Iterable[match.KeyedResult], *without: str
) -> dict[tuple, list[match.KeyedResult]]:
    groups = collections.defaultdict(list)
    for one in placed:
        groups[tuple((n, v) for n, v in one.key.items() if n not in without)].append(
            one
        )
    return groups


def _run_values(group: Sequence[match.KeyedResult]) -> dict[str, Value]:
    before, after = [p.record.before for p in group], [p.record.after for p in group]
    found = {
        f"{name}_{when}": over(ms, of)
        for name, of in _RUN.items()
        for when, ms in (("before", before), ("after", after))
    }
    found |= _margins(before)
    if group[0].key["condition"] == "B0":
        return {n: v for n, v in found.items() if not n.endswith("_after")}
    found |= _change(before, after)
    summary = lambda make: _plain([make(p.record.summary) for p in group])
    if any(p.record.summary.get("csr_loss") is not None for p in group):
        found["csr_loss"] = summary(lambda s: s.get("csr_loss"))
    found["sv_energy"] = summary(lambda s: (s.get("sv_energy") or {}).get("total"))
    found["final_loss"] = summary(lambda s: s.get("final_loss"))
    return found


def _plain(values) -> Value:
    values = [v for v in values if v is not None]
    if not values:
        return Value(None, n=0, why="not recorded")
    found = intervals.over_seeds(values)
    return Value(found.mean, found.sd if found.n > 1 else None, found.n)


def _margins(before: Sequence[records.Measured]) -> dict[str, Value]:
    weakest = collections.Counter(m.found["weakest"] for m in before).most_common(1)[0][
        0
    ]
    return {"margin": over(before[:1], "margin"), "weakest": Value(weakest)}


def _change(before, after) -> dict[str, Value]:
    """The change of EI in percent of before's mean, and the response in a word: what the intervals of the change allow.

    The SD is that of the seeds' own differences, the interval over replicate sets; both in percent of the same mean, taken as fixed.
    """
    pairs = [(b.value("ei"), a.value("ei")) for b, a in zip(before, after)]
    if (
        any(v is None for pair in pairs for v in pair)
        or not pairs
        or not np.mean([b for b, _ in pairs])
    ):
        why = "EI is undefined before or after"
        return {"ei_change": Value(None, why=why), "response": Value(None, why=why)}
    b, a = np.array(pairs).T
    pooled = pool(after, "ei")
    found = differences.difference(a, b, pooled, pool(before, "ei"), paired=True)
    word = "falls" if found.below() else "rises" if found.above() else "not decided"
    percent = 100 / float(b.mean())
    sd = percent * float(np.std(a - b, ddof=1)) if len(pairs) > 1 else None
    low, high = (percent * end for end in found.sets) if found.sets else (None, None)
    number = len(pooled) if found.sets else None
    return {
        "ei_change": Value(percent * found.estimate, sd, len(pairs), low, high, number),
        "response": Value(word),
    }


def summary(shelf: match.ResultSet) -> Rows:
    """Tables 2 and 5: every group of runs that differ in nothing but the seed, before and after."""
    return [
        (dict(key), _run_values(group))
        for key, group in _grouped(shelf.finished, "seed").items()
    ]


def seeds(shelf: match.ResultSet) -> Rows:
    """Tables 3, 6 and 11: every run, before and after."""
    return [(dict(p.key), _run_values([p])) for p in shelf.finished]


def trajectory(shelf: match.ResultSet) -> Rows:
    """Table 4: every group of runs at every step that all of its finished runs measured."""
    return _trajectory(_grouped(shelf.finished, "seed"))


def seed_trajectory(shelf: match.ResultSet) -> Rows:
    """Tables 12 and 13: every run at every step it was measured."""
    return _trajectory(_grouped(shelf.finished))


def _trajectory(groups: Mapping) -> Rows:
    rows = []
    for key, group in groups.items():
        steps = set.intersection(*({m.step for m in p.record.measured} for p in group))
        for step in sorted(steps):
            at = [p.record.at(step) for p in group]
            rows.append(
                (
                    dict(key) | {"step": step},
                    {name: over(at, of) for name, of in _RUN.items()},
                )
            )
    return rows


def bases(shelf: match.ResultSet) -> dict[str, list[records.Measured]]:
    """By model: the base model's measurements, those of B0 runs first, then other runs' beginnings, then those of a measure.json."""
    found: dict[str, list[records.Measured]] = {}
    firsts = sorted(
        (p for p in shelf.runs if ">" not in p.key["condition"]),
        key=lambda p: p.key["condition"] != "B0",
    )
    alone = [
        (p.key["model"], records.Measured(0, p.record.layers[-1]))
        for p in shelf.singles
        if p.key["condition"] == "B0"
    ]
    for model, measured in [
        *((p.key["model"], p.record.before) for p in firsts),
        *alone,
    ]:
        found.setdefault(model, []).append(measured)
    return found


def base(shelf: match.ResultSet) -> Rows:
    """Table 7: every base model, measured once however many runs began there."""
    rows = []
    for model, every in bases(shelf).items():
        values = {
            "ei_before": over(every[:1], "ei"),
            "v_purity_before": over(every[:1], "v_purity"),
        } | _margins(every[:1])
        rows.append(({"model": model, "condition": "B0"}, values))
    return rows


_COMPANIONS = {"logic": "formal_logic"}


def crosstalk(shelf: match.ResultSet, kind: str = "raw") -> Rows:
    """Table 8: code against every other domain, damage of that kind; intervals over replicate sets."""
    rows = []
    for placed in shelf.crosstalks:
        found = placed.record.found
        for pair in found["damage"][kind]["pairs"]:
            if "code" not in (pair["a"], pair["b"]):
                continue
            companion = pair["b"] if pair["a"] == "code" else pair["a"]
            spread = (
                found.get("intervals", {})
                .get(kind, {})
                .get(f"{pair['a']}|{pair['b']}", {})
            )
            values = {
                name: _of_pair(pair[name], spread.get(name))
                for name in ("ct", "bdr", "asymmetry")
            }
            rows.append(
                (
                    dict(placed.key)
                    | {
                        "domain": "code",
                        "companion": _COMPANIONS.get(companion, companion),
                    },
                    values,
                )
            )
    return rows


def _of_pair(value, spread) -> Value:
    low, high = (
        (spread["low"], spread["high"])
        if spread and spread["low"] is not None
        else (None, None)
    )
    why = (
        None
        if value is not None
        else "a domain's own damage is 0: nothing to divide by"
    )
    return Value(
        value,
        low=low,
        high=high,
        sets=spread.get("sets") if low is not None else None,
        why=why,
    )


def conditions(shelf: match.ResultSet) -> Rows:
    """Table 1: the crosstalk of each condition's companion with code, where the 7B's was measured."""
    of_7b = {"model": paper_tables.QWEN_7B, "condition": "B0"}.items()
    of = {
        key["companion"]: values["ct"]
        for key, values in crosstalk(shelf)
        if key.items() >= of_7b
    }
    companions = {"B2": "math", "B6": "creative"}
    return [
        ({"condition": c}, {"ct": of[companion]})
        for c, companion in companions.items()
        if companion in of
    ]


def compared(
    shelf: match.ResultSet, one: match.KeyedResult
) -> proportions.Paired | None:
    """HumanEval+ of an evaluation against its base model's on the same problems, problem by problem; None without one."""
    if one.key["condition"] == "B0":
        return None
    same = lambda p: (
        p.key["condition"] == "B0"
        and p.base == one.base
        and p.record.passed["plus"].keys() == one.record.passed["plus"].keys()
    )
    against = next((p for p in shelf.evaluations if same(p)), None)
    return (
        None if against is None else proportions.paired(_passed(one), _passed(against))
    )


def _passed(one: match.KeyedResult) -> np.ndarray:
    return np.array([share >= 0.5 for share in one.record.passed["plus"].values()])


def coding(shelf: match.ResultSet) -> Rows:
    """Tables 9 and 10: every evaluation, its difference from the base model's paired by problem, and the adapter's SV energy."""
    energies = {p.of: p.record.summary.get("sv_energy") for p in shelf.finished}
    rows = []
    for one in shelf.evaluations:
        plus, base_suite = one.record.passed["plus"], one.record.passed["base"]
        passes, n = sum(plus.values()), len(plus)
        whole = float(passes).is_integer()
        interval = proportions.wilson(int(passes), n) if whole else None
        part = _part(one)
        values = {
            "he": Value(
                100 * sum(base_suite.values()) / len(base_suite),
                n=len(base_suite),
                why=part,
            ),
            "he_plus": Value(
                100 * passes / n,
                n=n,
                low=interval and 100 * interval.low,
                high=interval and 100 * interval.high,
                why=part,
            ),
            "he_plus_passes": Value(int(passes) if whole else passes, n=n, why=part),
        }
        paired = compared(shelf, one)
        if paired:
            values |= {
                "he_plus_change": Value(100 * paired.difference.estimate, n=n, why=part)
            } | {
                side: _finite(100 * getattr(paired.difference, side), n)
                for side in ("low", "high")
            }
        energy = energies.get(one.of)
        rows.append(
            (
                dict(one.key),
                values | ({"sv_energy": Value(energy["total"])} if energy else {}),
            )
        )
    evaluated = {p.of for p in shelf.evaluations}
    alone = [p for p in shelf.finished if p.of not in evaluated and energies.get(p.of)]
    return rows + [
        (dict(p.key), {"sv_energy": Value(energies[p.of]["total"])}) for p in alone
    ]


def others(one: match.KeyedResult) -> int:
    """How many of an evaluation's problems are not HumanEval's."""
    return sum(not task.startswith("HumanEval/") for task in one.record.passed["base"])


def _part(one: match.KeyedResult) -> str | None:
    """What a reader has to know of scores that are not of all of HumanEval."""
    if number := others(one):
        return f"of {number} problems that are not HumanEval's: no score on HumanEval, and not to be compared with one"
    return one.record.scores["subset"] or None


def _finite(value: float, n: int) -> Value:
    return (
        Value(value, n=n)
        if value == value
        else Value(None, n=n, why="no problem on which the two differ")
    )


def reversal(shelf: match.ResultSet) -> Rows:
    """Table 14: EI of the base, after the first condition and after the one on top of it."""
    rows = []
    for key, group in _grouped(
        [p for p in shelf.finished if p.of in shelf.origin], "seed"
    ).items():
        first = [shelf.origin[p.of] for p in group]
        started, ended = (
            [p.record.before for p in group],
            [p.record.after for p in group],
        )
        change = _change(started, ended)["response"]
        word = {"falls": "deepened", "rises": "recovered"}.get(change.mean, change.mean)
        values = {
            "ei_before": over([r.before for r in first], "ei"),
            "ei_after_b3": over(started, "ei"),
            "ei_after": over(ended, "ei"),
        }
        rows.append((dict(key), values | {"outcome": Value(word, why=change.why)}))
    return rows


SOURCES: dict[str, Callable[[match.ResultSet], Rows]] = {
    "T1": conditions,
    "T2": summary,
    "T3": seeds,
    "T4": trajectory,
    "T5": summary,
    "T6": seeds,
    "T7": base,
    "T8": crosstalk,
    "T9": coding,
    "T10": coding,
    "T11": seeds,
    "T12": seed_trajectory,
    "T13": seed_trajectory,
    "T14": reversal,
}
"""What measures each of the paper's tables."""
