"""Measured crosstalk, for Tables 1 and 8."""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxent.paper import models as paper_models
from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.runs import records

TARGET = "code"
COMPANIONS = {"B2": "math", "B3": "nl", "B6": "creative"}
"""By condition, the companion domain; natural language is no domain of the probes."""
_PAPER_NAMES = {"logic": "formal_logic"}
_KEYS = ("ct", "bdr", "asymmetry")


def pairs_with_code(
    crosstalk: records.Crosstalk, kind: str = "raw"
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yields the pairs of code with every other domain.

    Args:
      crosstalk: a record.
      kind: of damage.

    Yields:
      (companion as the probes name it, the pair's numbers, its intervals by number).
    """
    content = crosstalk.content
    intervals = content.get("intervals", {}).get(kind, {})
    for pair in content["damage"][kind]["pairs"]:
        domains = (pair["a"], pair["b"])
        if TARGET in domains:
            companion = domains[1] if domains[0] == TARGET else domains[0]
            yield companion, pair, intervals.get("|".join(domains), {})


def interval_ends(interval: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Reads the ends of a recorded interval.

    Args:
      interval: with `low` and `high`, null where undefined; None without one.

    Returns:
      (low, high); None where there is none.

    Example:
      >>> interval_ends({"low": 0.1, "high": 0.2}), interval_ends({"low": None})
      ((0.1, 0.2), None)
    """
    if not interval or interval["low"] is None:
        return None
    return interval["low"], interval["high"]


def crosstalk_rows(results: match.ResultSet, kind: str = "raw") -> table_values.Rows:
    """Table 8: code against every other domain; intervals over replicate sets.

    Args:
      results: records of a section.
      kind: of damage.

    Returns:
      A row a pair, the key with "domain" and "companion".
    """
    rows: table_values.Rows = []
    for result in results.crosstalks:
        for companion, pair, intervals in pairs_with_code(result.record, kind):
            named = _PAPER_NAMES.get(companion, companion)
            key = {**result.key, "domain": TARGET, "companion": named}
            values = {n: _of_pair(pair[n], intervals.get(n)) for n in _KEYS}
            rows.append((key, values))
    return rows


def _of_pair(number: float | None, interval: Mapping | None) -> table_values.Value:
    why = None
    if number is None:
        why = "a domain's own damage is 0: nothing to divide by"
    ends = interval_ends(interval)
    if interval is None or ends is None:
        return table_values.Value(number, why=why)
    low, high = ends
    return table_values.Value(
        number, low=low, high=high, sets=interval.get("sets"), why=why
    )


def condition_rows(results: match.ResultSet) -> table_values.Rows:
    """Table 1: the crosstalk of each condition's companion with code in the 7B.

    Args:
      results: records of a section.

    Returns:
      A row a condition whose companion was measured.
    """
    base_7b = {"model": paper_models.QWEN_7B, "condition": "B0"}.items()
    measured = {
        key["companion"]: values["ct"]
        for key, values in crosstalk_rows(results)
        if key.items() >= base_7b
    }
    return [
        ({"condition": condition}, {"ct": measured[companion]})
        for condition, companion in COMPANIONS.items()
        if companion in measured
    ]
