"""What a study measured as tables: means and SDs over seeds of runs otherwise equal."""

import collections
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxent.runs import console, quantities, seeds
from jaxent.runs import spec as specs

Read = Callable[[Mapping[str, Any]], float | None]


def _before(name: str) -> Read:
    return functools.partial(quantities.before, name=name)


def _after(name: str) -> Read:
    return functools.partial(quantities.after, name=name)


def _percent(name: str) -> Read:
    def read(summary: Mapping) -> float | None:
        fraction = quantities.RESULTS[name](summary)
        return None if fraction is None else 100 * fraction

    return read


def _change(name: str) -> Read:
    def read(summary: Mapping) -> float | None:
        before = quantities.before(summary, name)
        after = quantities.after(summary, name)
        return None if before is None or after is None else after - before

    return read


QUANTITIES: dict[str, Read] = {
    "CVO before": _before("cvo"),
    "CVO": _after("cvo"),
    "CVO change": _change("cvo"),
    "EI before": _before("ei"),
    "EI": _after("ei"),
    "EI change": _change("ei"),
    "EI, all probes": _after("ei_all_probes"),
    "SEI": _after("sei"),
    "V-purity": _after("v_purity"),
    "V-purity before": _before("v_purity"),
    "domain margin": _before("domain_margin"),
    "register margin": _before("register_margin"),
    "shape margin": _before("shape_margin"),
    "domain accuracy": _after("domain_accuracy"),
    "drift": quantities.RESULTS["drift"],
    "drift outside": quantities.RESULTS["drift_outside"],
    "CSR probes' drift": quantities.RESULTS["csr_drift"],
    "outside": quantities.RESULTS["csr_drift_outside"],
    "CSR / LM gradient": quantities.RESULTS["csr_ratio"],
    "CSR loss": quantities.RESULTS["csr_loss"],
    "SV energy": quantities.RESULTS["sv_energy"],
    "final loss": quantities.RESULTS["final_loss"],
    "HumanEval (%)": _percent("humaneval"),
    "HumanEval+ (%)": _percent("humaneval_plus"),
    "HumanEval+ passes": quantities.RESULTS["humaneval_plus_passes"],
    "of": quantities.RESULTS["humaneval_samples"],
    "nats a byte": quantities.RESULTS["nats_a_byte"],
    "minus base": quantities.RESULTS["nats_a_byte_change"],
}
"""By heading, how a column is read from a summary.json."""

_WITH_REASONS = {
    "CVO before": ("before", "cvo"),
    "CVO": ("after", "cvo"),
    "EI before": ("before", "ei"),
    "EI": ("after", "ei"),
    "SEI": ("after", "sei"),
}
"""By heading, the measurement and the name under which a record has its reason."""
_TRUST = (
    "CVO is the number to trust; EI is as published. Both are over the replicate sets; "
    "EI of one fit on\nall probes is in columns of that name."
)


def summarise_runs(
    results: Sequence[tuple[specs.RunSpec, dict]],
    by: Sequence[str],
    columns: Sequence[str],
) -> list[dict]:
    """Summarises runs over the seeds of each group.

    Args:
      results: (run, its summary.json).
      by: fields of `RunSpec` in which the runs of a group are equal.
      columns: headings of `QUANTITIES`.

    Returns:
      One row a group, in the order in which groups first come: the fields of `by`,
      "seeds" (a list), by heading a `seeds.SeedSummary`, None where the quantity is
      undefined in every seed, and "reasons", by heading why it is undefined in a seed.
    """

    def group(result: tuple[specs.RunSpec, dict]) -> tuple:
        return tuple(getattr(result[0], field) for field in by)

    rows = []
    for key, members in seeds.group_by(results, group).items():
        row: dict[str, Any] = dict(zip(by, key))
        row["seeds"] = [run.seed for run, _ in members]
        for column in columns:
            values = [QUANTITIES[column](summary) for _, summary in members]
            row[column] = seeds.over_seeds(values)
        row["reasons"] = _reasons([summary for _, summary in members], columns)
        rows.append(row)
    return rows


def _reasons(
    summaries: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> dict[str, str]:
    """The first reason of each column that is undefined in some seed."""
    reasons: dict[str, str] = {}
    for column in columns:
        if column in _WITH_REASONS:
            when, name = _WITH_REASONS[column]
            for summary in summaries:
                why = summary[when].get("reasons", {}).get(name)
                if why is not None:
                    reasons.setdefault(column, why)
    return reasons


def summarise_steps(
    results: Sequence[tuple[specs.RunSpec, list[dict]]],
    by: Sequence[str],
    columns: Sequence[str],
) -> list[dict]:
    """Summarises runs over seeds at every step at which one of the group was measured.

    Args:
      results: (run, its measurements in order).
      by: fields of `RunSpec` in which the runs of a group are equal.
      columns: headings of `QUANTITIES`.

    Returns:
      Rows as `summarise_runs` gives them, with "step" too, groups together.
    """
    at_step = collections.defaultdict(list)
    for run, measurements in results:
        for record in measurements:
            summary = {
                "before": measurements[0],
                "after": record,
                "drift": record["drift"],
            }
            at_step[record["step"]].append((run, summary))
    rows = [
        {"step": step} | row
        for step in sorted(at_step)
        for row in summarise_runs(at_step[step], by, columns)
    ]
    groups = [tuple(getattr(run, field) for field in by) for run, _ in results]

    def position(row: dict) -> int:
        return groups.index(tuple(row[field] for field in by))

    return sorted(rows, key=position)


def format_summary(
    rows: list[dict], by: Sequence[str], blocks: Sequence[Sequence[str]]
) -> str:
    """Formats summaries as one table a block of columns.

    Args:
      rows: of `summarise_runs` or `summarise_steps`.
      by: fields that name a row.
      blocks: headings of each table.

    Returns:
      The tables: mean ± SD over seeds; (n) where the quantity is defined in n of the
      seeds only; "-" where it is undefined in all. Above them are the fields that all
      rows share, below them the reasons of what is undefined, and which number to
      trust.
    """
    if not rows:
        return "No run is finished."
    varying = [field for field in by if len({row[field] for row in rows}) > 1]
    shared = [field for field in by if field not in varying]
    parts = []
    if shared:
        parts.append(", ".join(f"{f} {_format_field(rows[0][f])}" for f in shared))
    for block in blocks:
        header = [", ".join(varying) or "runs", "seeds", *block]
        lines = [_format_row(row, varying, block) for row in rows]
        parts.append(console.format_table(header, lines))
    notes = _list_reasons(rows, varying)
    if any("EI" in block for block in blocks):
        notes.append(_TRUST)
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts)


def _list_reasons(rows: list[dict], varying: Sequence[str]) -> list[str]:
    """A line for every reason, with the rows that have it."""
    named: dict[str, list[str]] = collections.defaultdict(list)
    for row in rows:
        for column, why in row.get("reasons", {}).items():
            name = ", ".join(_format_field(row[field]) for field in varying)
            step = f" at step {row['step']}" if "step" in row else ""
            named[f"{column} is undefined: {why}"].append(f"{name}{step}".strip())
    return [
        f"{text} ({'; '.join(filter(None, names))})." if any(names) else f"{text}."
        for text, names in named.items()
    ]


def _format_row(row: dict, varying: Sequence[str], block: Sequence[str]) -> list:
    name = ", ".join(_format_field(row[field]) for field in varying) or "all"
    cells = [_format_summary_cell(row[column]) for column in block]
    return [name, len(row["seeds"]), *cells]


def _format_field(value: Any) -> str:
    """A field's value; of a model folder the last part."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return pathlib.Path(value).name
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _format_summary_cell(summary: seeds.SeedSummary | None) -> str:
    if summary is None:
        return "-"
    spread = "" if summary.sd is None else f" ± {summary.sd:.2g}"
    fewer = f" ({summary.n})" if summary.n < summary.seeds else ""
    return f"{summary.mean:.3g}{spread}{fewer}"
