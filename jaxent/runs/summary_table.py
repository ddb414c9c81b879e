"""What a study found, cell by cell: means and SDs over the seeds of runs that differ in nothing else."""

import collections
import pathlib
from collections.abc import Callable, Sequence

from jaxent.runs import console
from jaxent.runs import spec as specs
from jaxent.stats import intervals

QUANTITIES: dict[
    str, Callable[[dict], float | None]
] = {  # from summary.json; "coding" is `evaluate.coding_scores`
    "EI before": lambda s: s["before"]["ei"],
    "EI": lambda s: s["after"]["ei"],
    "EI change": lambda s: (
        None
        if None in (s["after"]["ei"], s["before"]["ei"])
        else s["after"]["ei"] - s["before"]["ei"]
    ),
    "SEI": lambda s: s["after"]["sei"],
    "CVO": lambda s: s["after"]["cvo"],
    "V-purity": lambda s: s["after"]["v_purity"],
    "V-purity before": lambda s: s["before"]["v_purity"],
    "domain margin": lambda s: s["before"]["margins"]["domain"],
    "register margin": lambda s: s["before"]["margins"]["register"],
    "shape margin": lambda s: s["before"]["margins"]["shape"],
    "domain accuracy": lambda s: s["after"]["accuracy"]["domain"],
    "drift": lambda s: s["drift"]["total"],
    "drift outside": lambda s: s["drift"]["outside"],
    "CSR probes' drift": lambda s: s["csr_drift"] and s["csr_drift"]["total"],
    "outside": lambda s: s["csr_drift"] and s["csr_drift"]["outside"],
    "CSR / LM gradient": lambda s: s["csr_ratio"],
    "CSR loss": lambda s: s["csr_loss"],
    "SV energy": lambda s: s["sv_energy"] and s["sv_energy"]["total"],
    "final loss": lambda s: s["final_loss"],
    "HumanEval (%)": lambda s: 100 * s["coding"]["base"] if s.get("coding") else None,
    "HumanEval+ (%)": lambda s: 100 * s["coding"]["plus"] if s.get("coding") else None,
    "HumanEval+ passes": lambda s: s["coding"]["passes"] if s.get("coding") else None,
    "of": lambda s: s["coding"]["samples"] if s.get("coding") else None,
}


def summarise_runs(
    found: Sequence[tuple[specs.RunSpec, dict]],
    by: Sequence[str],
    quantities: Sequence[str],
) -> list[dict]:
    """One dict a group of runs equal in the fields `by`, in the order they come: those fields, seeds, and Summary by quantity.

    A value that is undefined in some seed is left out of that quantity's n.
    """
    groups = collections.defaultdict(list)
    for run, summary in found:
        groups[tuple(getattr(run, f) for f in by)].append((run, summary))
    rows = []
    for key, members in groups.items():
        values = {
            q: [v for _, s in members if (v := QUANTITIES[q](s)) is not None]
            for q in quantities
        }
        summary = {
            q: intervals.over_seeds(v) if v else None for q, v in values.items()
        }
        rows.append(
            dict(zip(by, key)) | {"seeds": [run.seed for run, _ in members]} | summary
        )
    return rows


def summarise_steps(
    found: Sequence[tuple[specs.RunSpec, list[dict]]],
    by: Sequence[str],
    quantities: Sequence[str],
) -> list[dict]:
    """`cells` at every step at which some run of the group was measured: rows have a step too. found: (run, its measurements)."""
    at = collections.defaultdict(list)
    for run, measured in found:
        for record in measured:
            at[record["step"]].append(
                (
                    run,
                    {"before": measured[0], "after": record, "drift": record["drift"]},
                )
            )
    rows = [
        {"step": step} | row
        for step in sorted(at)
        for row in summarise_runs(at[step], by, quantities)
    ]
    groups = list(dict.fromkeys(tuple(getattr(run, f) for f in by) for run, _ in found))
    return sorted(rows, key=lambda row: groups.index(tuple(row[f] for f in by)))


def format_summary(
    rows: list[dict], by: Sequence[str], blocks: Sequence[Sequence[str]]
) -> str:
    """`cells` as a table a block of quantities: mean ± SD over seeds; (n) where n is fewer than the seeds; - where undefined in all.

    What all rows have in common stands above them.
    """
    if not rows:
        return "No run is finished."
    varying = [f for f in by if len({row[f] for row in rows}) > 1]
    common = ", ".join(f"{f} {_named(rows[0][f])}" for f in by if f not in varying)
    key = lambda row: [
        ", ".join(_named(row[f]) for f in varying) or "all",
        len(row["seeds"]),
    ]
    drawn = [
        [*key(row), *(_cell(row[q], len(row["seeds"])) for q in block)]
        for block in blocks
        for row in rows
    ]
    parts = [drawn[i : i + len(rows)] for i in range(0, len(drawn), len(rows))]
    head = [", ".join(varying) or "runs", "seeds"]
    return "\n\n".join(
        [common] * bool(common)
        + [
            console.format_table([*head, *block], lines)
            for block, lines in zip(blocks, parts)
        ]
    )


def _named(value) -> str:
    """A field's value; a model folder by its own name."""
    return pathlib.Path(value).name if isinstance(value, str) else f"{value:g}"


def _cell(summary: intervals.Summary | None, seeds: int) -> str:
    if summary is None:
        return "-"
    spread = f" ± {summary.sd:.2g}" if summary.n > 1 else ""
    return f"{summary.mean:.3g}{spread}" + (
        f" ({summary.n})" if summary.n < seeds else ""
    )
