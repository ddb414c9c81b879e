"""A verdict on each of the paper's claims from the runs at the paper's models: supported, contradicted, or not decided.

Supported: every difference the claim names is on its side, with every interval there is (over seeds, replicate sets, problems).
Contradicted: one of them is as clearly on the other side (at a level corrected for their number). Otherwise not decided.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds

from jaxent.paper import claims
from jaxent.report import evidence, match
from jaxent.stats import differences as set_differences
from jaxent.stats import intervals, proportions

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "not decided"
_LEVEL = 0.95
_RECOVERING = 0.25  # the share of seeds that recover in the paper
_FEWEST = 3  # seeds that a claim about every seed, or about their spread, needs
_EXACT = {"sv_energy", "rank"}  # of a run, without an error of measurement


@dataclasses.dataclass(frozen=True)
class Verdict:
    """outcome; the numbers and the test in words, a line a cell or comparison; if it is not decided, why."""

    claim: claims.Claim
    outcome: str
    numbers: str
    test: str
    why: str = ""


def every(shelf: match.ResultSet) -> list[Verdict]:
    """A verdict on each claim, in the order of `claims.CLAIMS`."""
    return [decide(claim, shelf) for claim in claims.CLAIMS]


def decide(claim: claims.Claim, shelf: match.ResultSet) -> Verdict:
    """The verdict on one claim; not decided, with the reason, where a run that it needs is not there."""
    try:
        outcome, numbers, test = _DERIVED.get(claim.id, _TESTS[claim.test])(
            claim, shelf
        )
    except evidence.Missing as missing:
        outcome, numbers, test, why = (
            UNDECIDED,
            _there(claim, shelf),
            "",
            f"{str(missing)[0].upper()}{str(missing)[1:]}.",
        )
    else:
        why = "" if outcome != UNDECIDED else "The test leaves it open."
    return Verdict(
        claim, outcome, _without_model(claim, numbers), _without_model(claim, test), why
    )


def _without_model(claim, text: str) -> str:
    """The model said once, where all runs are of one."""
    models = {evidence.short(key["model"]) for key in claim.runs}
    one = models.pop() if len(models) == 1 else None
    return (
        f"{one}\n{text.replace(f'{one} ', '')}"
        if one and text.count(f"{one} ") > 1
        else text
    )


def _there(claim, shelf) -> str:
    """The numbers of those runs that are there."""
    texts = []
    for key in claim.runs:
        try:
            texts.append(
                evidence.sample(
                    shelf,
                    "he_plus" if claim.metric == "he_plus_loss" else claim.metric,
                    key,
                ).text
            )
        except (evidence.Missing, KeyError):
            continue
    return "\n".join(texts)


def _joined(
    differences: Sequence[
        tuple[set_differences.Difference, set_differences.Difference]
    ],
    exact: bool,
    side: int,
) -> str:
    """The outcome of claims that all of some differences lie on one side (1: above 0, -1: below).

    Each is given at the level of support and at that of contradiction.
    """
    on = lambda d, s: d.above() if s > 0 else d.below()
    values = lambda d, s: s * d.estimate > 0 if exact and not d.spans else on(d, s)
    if all(values(d, side) for d, _ in differences):
        return SUPPORTED
    if exact and any(not d.spans or d.spans == [(0.0, 0.0)] for d, _ in differences):
        return (
            CONTRADICTED
            if any(side * d.estimate <= 0 for d, _ in differences)
            else UNDECIDED
        )
    return (
        CONTRADICTED
        if any(values(strict, -side) for _, strict in differences)
        else UNDECIDED
    )


def _both(
    a, b, number: int, paired: bool = False
) -> tuple[set_differences.Difference, set_differences.Difference]:
    return evidence.compare(a, b, paired, _LEVEL), evidence.compare(
        a, b, paired, 1 - (1 - _LEVEL) / number
    )


def _ordered(pairs: Callable, side: int):
    """A test that each pair of samples differs to one side; pairs: indices of them from the number of runs."""

    def test(claim, shelf):
        metrics = [m for m in (claim.metric, claim.other) if m]
        found = {
            m: [evidence.sample(shelf, m, key) for key in claim.runs] for m in metrics
        }
        chosen = [(m, *pair) for m in metrics for pair in pairs(len(claim.runs))]
        differences = [
            _both(found[m][i], found[m][j], len(chosen)) for m, i, j in chosen
        ]
        named = [
            (
                f"{found[m][i].name} minus {found[m][j].name} = {d.estimate:.3g}",
                _words(claim, d),
            )
            for (m, i, j), (d, _) in zip(chosen, differences)
        ]
        return (
            _joined(differences, claim.metric in _EXACT, side),
            _numbers([s for m in metrics for s in found[m]]),
            _lines(named),
        )

    return test


def _lines(named: Sequence[tuple[str, str]]) -> str:
    """A line a comparison; tests in the same words are named once, at the end."""
    same = len({words for _, words in named}) == 1 and len(named) > 1
    return "\n".join(
        [what if same else f"{what}: {words}" for what, words in named]
        + [named[0][1]] * same
    )


def _words(claim, difference: set_differences.Difference) -> str:
    single = claim.metric in _EXACT and not difference.spans
    return (
        "the values themselves, without error of measurement (one seed says nothing of others)"
        if single
        else difference.test
    )


def _numbers(samples) -> str:
    return "\n".join(s.text for s in samples)


def _changes(side: int, quantity: str | None = None):
    """A test that a quantity falls (-1) or rises (1) from before to after in every run."""

    def test(claim, shelf):
        name = quantity or claim.metric
        pairs = [
            (
                evidence.measured(shelf, name, key, "before"),
                evidence.measured(shelf, name, key),
            )
            for key in claim.runs
        ]
        differences = [
            _both(after, before, len(pairs), paired=True) for before, after in pairs
        ]
        named = [
            (f"{after.name} {d.estimate:+.3g}", _words(claim, d))
            for (_, after), (d, _) in zip(pairs, differences)
        ]
        return (
            _joined(differences, name in _EXACT, side),
            _numbers([s for p in pairs for s in p]),
            _lines(named),
        )

    return test


def _within(claim, shelf):
    """After within the bound of before in every run."""
    pairs = [
        (
            evidence.measured(shelf, claim.metric, key, "before"),
            evidence.measured(shelf, claim.metric, key),
        )
        for key in claim.runs
    ]
    differences = [
        _both(after, before, len(pairs), paired=True) for before, after in pairs
    ]
    return _equivalent(
        claim,
        differences,
        [after.name for _, after in pairs],
        [s for p in pairs for s in p],
    )


def _same(claim, shelf):
    """Any two runs within the bound of each other."""
    found = [evidence.sample(shelf, claim.metric, key) for key in claim.runs]
    chosen = [(i, j) for i in range(len(found)) for j in range(i)]
    paired = (
        len({key.get("step") for key in claim.runs}) > 1
    )  # the same runs at several steps
    differences = [_both(found[i], found[j], len(chosen), paired) for i, j in chosen]
    return _equivalent(
        claim,
        differences,
        [f"{found[i].name} minus {found[j].name}" for i, j in chosen],
        found,
    )


def _equivalent(claim, differences, names, samples):
    bound = claim.bound
    outside = lambda d: d.above(bound) or d.below(-bound)
    outcome = (
        SUPPORTED
        if all(d.within(bound) for d, _ in differences)
        else CONTRADICTED
        if any(outside(d) for _, d in differences)
        else UNDECIDED
    )
    named = [
        (f"{name} {d.estimate:+.3g}", d.test)
        for name, (d, _) in zip(names, differences)
    ]
    return outcome, _numbers(samples), f"Within ±{bound:g}?\n{_lines(named)}"


def _zero(claim, shelf):
    found = [evidence.sample(shelf, claim.metric, key) for key in claim.runs]
    if any((s.values != 0).any() for s in found):
        outcome = CONTRADICTED
    else:
        outcome = (
            SUPPORTED if all(s.values.size >= _FEWEST for s in found) else UNDECIDED
        )
    zeros = ", ".join(
        f"{int((s.values == 0).sum())} of {s.values.size} seeds of {s.name} at 0"
        for s in found
    )
    return (
        outcome,
        _numbers(found),
        f"{zeros} ({_FEWEST} seeds or more needed; 0 is the estimator's floor, not proof of no entanglement)",
    )


def _some_above(claim, shelf):
    found = [evidence.sample(shelf, claim.metric, key) for key in claim.runs]
    outcome = SUPPORTED if all((s.values > 0).any() for s in found) else CONTRADICTED
    return (
        outcome,
        _numbers(found),
        ", ".join(
            f"{int((s.values > 0).sum())} of {s.values.size} seeds of {s.name} above 0"
            for s in found
        ),
    )


def _spread(claim, shelf):
    found = [evidence.sample(shelf, claim.metric, key) for key in claim.runs]
    few = [s for s in found if s.values.size < _FEWEST]
    if few:
        raise evidence.Missing(
            f"{few[0].name} has {few[0].values.size} seeds: its spread needs {_FEWEST}"
        )
    ends = [set_differences.sd_interval(s.values) for s in found]
    outcome = (
        SUPPORTED
        if all(high < claim.bound for _, high in ends)
        else CONTRADICTED
        if any(low > claim.bound for low, _ in ends)
        else UNDECIDED
    )
    words = [
        f"SD of {s.name} in [{low:.3g}, {high:.3g}]"
        for s, (low, high) in zip(found, ends)
    ]
    return (
        outcome,
        _numbers(found),
        f"chi-squared interval below {claim.bound:g}? {'; '.join(words)}",
    )


def _ratio(claim, shelf):
    if claim.metric == "he_plus_loss":
        return _loss_ratio(claim, shelf)
    a, b = (evidence.sample(shelf, claim.metric, key) for key in claim.runs)
    if (b.values <= 0).any() or (a.values <= 0).any():
        raise evidence.Missing("a value of 0 has no ratio")
    ratio, logs = (
        a.values.mean() / b.values.mean(),
        set_differences.welch(np.log(a.values), np.log(b.values)),
    )
    low, high = np.exp(logs) if logs else (ratio, ratio)
    outcome = (
        SUPPORTED
        if low >= claim.bound
        else CONTRADICTED
        if high < claim.bound
        else UNDECIDED
    )
    words = (
        f"Welch t of the logarithms [{low:.3g}, {high:.3g}]"
        if logs
        else "the values themselves, without error of measurement (one seed says nothing of others)"
    )
    return (
        outcome,
        _numbers([a, b]),
        f"ratio {ratio:.3g} at least {claim.bound:g}? {words}",
    )


def _loss_ratio(claim, shelf):
    """(B0 - first) / (B0 - second) at least the bound, as the mean over problems of a linear form without a quotient."""
    base_key = {"model": claim.runs[0]["model"], "condition": "B0"}
    found = [evidence.sample(shelf, "he_plus", key) for key in (base_key, *claim.runs)]
    base, first, second = evidence.problems(*found)
    low, high = intervals.t_interval(
        100 * ((base - first) - claim.bound * (base - second))
    )
    lost = [100 * float(np.mean(base - x)) for x in (first, second)]
    outcome = (
        UNDECIDED
        if lost[1] <= 0
        else SUPPORTED
        if low >= 0
        else CONTRADICTED
        if high < 0
        else UNDECIDED
    )
    return (
        outcome,
        _numbers(found),
        f"lost {lost[0]:.1f} and {lost[1]:.1f} points; t over problems of loss 1 - {claim.bound:g} x loss 2: [{low:.1f}, {high:.1f}] points",
    )


def _anticorrelated(claim, shelf):
    first = [evidence.sample(shelf, claim.metric, key) for key in claim.runs]
    second = [evidence.sample(shelf, claim.other, key) for key in claim.runs]
    found_rank = proportions.spearman(
        [s.values.mean() for s in first], [s.values.mean() for s in second]
    )
    seen = found_rank.p < 1 - _LEVEL
    outcome = (
        SUPPORTED
        if seen and found_rank.rho < 0
        else CONTRADICTED
        if seen
        else UNDECIDED
    )
    return (
        outcome,
        f"{_numbers(first)}\n{_numbers(second)}",
        f"Spearman's rho = {found_rank.rho:.2f} of {found_rank.n} conditions, exact p = {found_rank.p:.3g}",
    )


def _faster(claim, shelf):
    """Ranks of the first step from which EI stays at 0; seeds that never get there rank last."""
    found = [evidence.sample(shelf, claim.metric, key) for key in claim.runs]
    smaller, larger = found
    if min(s.values.size for s in found) < 2:
        raise evidence.Missing("each size needs two seeds or more for a test of ranks")
    last = 1 + max([v for s in found for v in s.values if np.isfinite(v)], default=0)
    ranks = [np.where(np.isinf(s.values), last, s.values) for s in found]
    p = float(scipy.stats.mannwhitneyu(*ranks, alternative="two-sided").pvalue)
    side = np.sign(
        np.mean(scipy.stats.rankdata(np.concatenate(ranks))[: ranks[0].size])
        - np.mean(scipy.stats.rankdata(np.concatenate(ranks))[ranks[0].size :])
    )
    outcome = UNDECIDED if p >= 1 - _LEVEL else SUPPORTED if side > 0 else CONTRADICTED
    return (
        outcome,
        _numbers(found),
        f"Mann-Whitney over {smaller.values.size} and {larger.values.size} seeds, p = {p:.3g}",
    )


def _late(claim, shelf):
    """EI above the base at step 2500, and below that at the end."""
    key = claim.runs[0]
    before, middle, end = (
        evidence.measured(shelf, "ei", key, step) for step in ("before", 2500, None)
    )
    rise, fall = (
        _both(middle, before, 2, paired=True),
        _both(end, middle, 2, paired=True),
    )
    flipped = tuple(
        dataclasses.replace(
            d, estimate=-d.estimate, seeds=_negated(d.seeds), sets=_negated(d.sets)
        )
        for d in fall
    )
    numbers = f"base {before.values.mean():.3f}, step 2500 {middle.values.mean():.3f}, end {end.values.mean():.3f} ({end.values.size} seeds)"
    return (
        _joined([rise, flipped], False, 1),
        numbers,
        f"to step 2500 {rise[0].estimate:+.3g}: {rise[0].test}\nfrom there {fall[0].estimate:+.3g}: {fall[0].test}",
    )


def _recovering(claim, shelf):
    """A seed that recovers shows that some do; that none does is shown where the share's interval excludes the paper's."""
    found = evidence.sample(shelf, claim.metric, claim.runs[0])
    seen, n = int(found.values.sum()), found.values.size
    share = proportions.wilson(seen, n)
    outcome = (
        SUPPORTED if seen else CONTRADICTED if share.high < _RECOVERING else UNDECIDED
    )
    return (
        outcome,
        f"{found.name}: {seen} of {n} seeds",
        f"share of seeds, Wilson [{100 * share.low:.0f}, {100 * share.high:.0f}]%",
    )


def _leaning(claim, shelf):
    found = evidence.sample(shelf, claim.metric, claim.runs[0])
    if found.interval is None:
        raise evidence.Missing("the crosstalk has no interval over replicate sets")
    low, high = found.interval
    outcome = SUPPORTED if low > 0 else CONTRADICTED if high < 0 else UNDECIDED
    return (
        outcome,
        found.text,
        f"lean, 1 if only code loses and -1 if only math does: jackknife over replicate sets [{low:.3g}, {high:.3g}]",
    )


def _negated(interval):
    return None if interval is None else (-interval[1], -interval[0])


_first_against = lambda n: [(0, j) for j in range(1, n)]
_neighbours = lambda n: [(i, i + 1) for i in range(n - 1)]
_T = claims.Test
_TESTS = {
    _T.DECREASING: _ordered(_neighbours, 1),
    _T.LEAST: _ordered(_first_against, -1),
    _T.MOST: _ordered(_first_against, 1),
    _T.GREATER: _ordered(_first_against, 1),
    _T.LESS: _ordered(_first_against, -1),
    _T.RATIO: _ratio,
    _T.ZERO: _zero,
    _T.SOME_ABOVE_ZERO: _some_above,
    _T.EQUIVALENT: _same,
    _T.SPREAD_BELOW: _spread,
    _T.FALLS: _changes(-1),
    _T.RISES: _changes(1),
    _T.UNCHANGED: _within,
    _T.ANTICORRELATED: _anticorrelated,
}
_DERIVED = {
    "larger_is_faster": _faster,
    "late_at_7b": _late,
    "recoveries": _recovering,
    "one_way": _leaning,
}
