"""Studies that the paper lacks, as tables and figures: which companion (companion_metric.py), and do the estimators measure overlap
(estimator_validity.py)?
"""

import collections
from collections.abc import Iterable, Mapping, Sequence

from jaxent.paper import tables as paper_tables
from jaxent.report import figures, grid, match, plots_own, sections
from jaxent.report import values as table_values
from jaxent.runs import records
from jaxent.stats import intervals

_C = paper_tables.Column
_AXES = (
    _C("ct", "crosstalk"),
    _C("cosine", "cosine of gradients"),
    _C("alignment", "alignment"),
    _C("drop", "drop of loss", None),
    _C("worse", "change after training", None),
)
_RANKS = tuple(
    _C(name, f"by {name}", 0, "count")
    for name in ("crosstalk", "alignment", "drop", "two axes")
)
_JUDGED = (
    _C("all", "pairs in order", unit="text"),
    _C("clear", "clear pairs", unit="text"),
    _C("rho", "Spearman’s rho", 2),
    _C("p", "p"),
)
_VALIDITY = (
    _C("truth", "truth"),
    *(_C(name, title) for name, title in figures.ESTIMATORS.items()),
)
_VARIED = {
    "overlap": "overlap",
    "snr": "signal to noise",
    "scale": "scale",
    "sets": "replicate sets",
    "decay": "decay of noise",
    "rotated": "overlap, real activations",
}
_COVERAGE = (
    _C("of_expectation", "holds the expectation"),
    _C("of_truth", "holds the truth"),
    _C("width", "mean width"),
)


def companion_tables(metrics: Sequence[records.Metric]) -> list[grid.Grid]:
    """Every companion on both axes; their ranks; and, where a check trained them, how each predictor ordered the outcome."""
    axes, ranks, judged = [], [], []
    for metric, model in zip(metrics, names(metrics)):
        found = metric.found
        n = len(found["question"]["companions"])
        axes += [
            (
                {"model": model, "companion": _domain(found, d)},
                _of_companion(found, d, axis),
            )
            for d, axis in found["axes"].items()
        ]
        ranks += [
            (
                {"model": model, "companion": c},
                {
                    name: table_values.Value(of[c], n=n)
                    for name, of in found["ranks"].items()
                    if of[c]
                },
            )
            for c in found["question"]["companions"]
        ]
        judged += [
            ({"model": model, "predictor": name}, _of_predictor(one, n))
            for name, one in (found["judged"] or {}).items()
        ]
    every = [
        (
            "own-companions",
            "Companions on both axes",
            "Mean ± SD over n seeds; losses in nats a token of held-out texts of the target. A drop is that after a few steps on the companion "
            "alone. The last column is the change of that loss after training on target and companion together: higher is worse.",
            _AXES,
            axes,
        ),
        (
            "own-ranks",
            "Which companion is predicted to keep the target best",
            "Rank 1 of n is best.",
            _RANKS,
            ranks,
        ),
        (
            "own-judged",
            "Which predictor orders companions as training did",
            "Pairs of n companions whose mean change after training is ordered as predicted; clear pairs are those that all seeds order alike. "
            "p is exact, over all orders.",
            _JUDGED,
            judged,
        ),
    ]
    return [
        grid.measured(id, title, caption, columns, rows)
        for id, title, caption, columns, rows in every
        if rows
    ]


def names(metrics: Sequence[records.Metric]) -> list[str]:
    """A model's name for each record, with its folder where several records are of one model."""
    plain = [match.model_name(metric.model)[0] for metric in metrics]
    number = collections.Counter(plain)
    return [
        f"{name} ({metric.folder})" if number[name] > 1 else name
        for name, metric in zip(plain, metrics)
    ]


def _domain(found: Mapping, domain: str) -> str:
    return f"{domain} (the target)" if domain == found["question"]["target"] else domain


def _of_companion(
    found: Mapping, domain: str, axis: Mapping
) -> dict[str, table_values.Value]:
    values = {name: _over_seeds(axis[name]) for name in ("cosine", "alignment", "drop")}
    if axis["ct"] is not None:
        values["ct"] = table_values.Value(axis["ct"])
    worse = found["worse"].get(found["conditions"].get(domain), [])
    return values | ({"worse": _over_seeds(worse)} if worse else {})


def _over_seeds(values: Sequence[float | None]) -> table_values.Value:
    kept = [v for v in values if v is not None]
    if not kept:
        return table_values.Value(
            None, n=0, why="the gradient’s halves do not agree in any seed"
        )
    summary = intervals.over_seeds(kept)
    why = (
        None
        if len(kept) == len(values)
        else f"undefined in {len(values) - len(kept)} of {len(values)} seeds"
    )
    return table_values.Value(
        summary.mean, summary.sd if summary.n > 1 else None, summary.n, why=why
    )


def _of_predictor(judged: Mapping, n: int) -> dict[str, table_values.Value]:
    pairs = {"all": ("right", "pairs"), "clear": ("clear_right", "clear_pairs")}
    found = {
        id: table_values.Value(f"{judged[right]} of {judged[number]}", n=n)
        for id, (right, number) in pairs.items()
    }
    return found | {
        id: table_values.Value(judged[id])
        for id in ("rho", "p")
        if judged[id] is not None
    }


def answers(metrics: Sequence[records.Metric]) -> list[str]:
    """`records.companion_answer` of every record with a check, its model first."""
    return [
        f"{model}: {records.companion_answer(m.found['judged'])}"
        for m, model in zip(metrics, names(metrics))
        if m.found["judged"]
    ]


def companion_figures(metrics: Sequence[records.Metric]) -> list[sections.Figure]:
    """A map for each record: interference across, transfer up."""
    return [
        sections.Figure(
            f"own-companions-{i}",
            f"Companions of {model}: interference against two measures of transfer; upper left is best.",
            lambda metric=metric: plots_own.companions(metric.found),
        )
        for i, (metric, model) in enumerate(zip(metrics, names(metrics)), 1)
    ]


def validity_tables(studies: Sequence[records.Validity]) -> list[grid.Grid]:
    """Every estimator at every point of every panel, and the coverage of the intervals."""
    points, covered = [], []
    for study in studies:
        key = {"folder": study.folder} if len(studies) > 1 else {}
        for panel in study.found["panels"]:
            for point in panel["points"]:
                points.append(
                    (
                        key
                        | {
                            "varied": _VARIED[panel["axis"]],
                            "at": f"{point['value']:g}",
                        },
                        _of_point(point, panel["draws"]),
                    )
                )
        for row in study.found["coverage"]:
            names = {
                "95% interval of": figures.ESTIMATORS.get(
                    row["estimator"], row["estimator"]
                ),
                "design": row["design"],
                "signal to noise": f"{row['snr']:g}",
            }
            values = {
                c.id: table_values.Value(row[c.id], n=row["defined"])
                for c in _COVERAGE
                if row[c.id] is not None
            }
            covered.append((key | names, values))
    every = [
        (
            "own-validity",
            "Estimators against a known truth",
            "Mean ± SD over n independent draws of activations; panel by panel of the figure.",
            _VALIDITY,
            points,
        ),
        (
            "own-coverage",
            "Coverage of the 95% intervals over replicate sets",
            "Share of n draws in which the interval holds the estimator’s expectation, and for CVO the true overlap; of crosstalk all pairs of domains together.",
            _COVERAGE,
            covered,
        ),
    ]
    return [
        grid.measured(id, title, caption, columns, rows)
        for id, title, caption, columns, rows in every
        if rows
    ]


def _of_point(point: Mapping, draws: int) -> dict[str, table_values.Value]:
    return {"truth": table_values.Value(point["truth"])} | {
        n: _over_draws(point[n], draws) for n in figures.ESTIMATORS if n in point
    }


def _over_draws(found: Mapping, draws: int) -> table_values.Value:
    why = (
        None
        if found["defined"] == draws
        else f"undefined in {draws - found['defined']} of {draws} draws"
    )
    return table_values.Value(
        found["mean"],
        found["sd"] if found["defined"] > 1 else None,
        found["defined"],
        why=why,
    )


def validity_figures(studies: Iterable[records.Validity]) -> list[sections.Figure]:
    """A figure for each study: a panel a question."""
    caption = "Estimators against a known truth (dashed): a panel a question; bands are one SD over draws."
    return [
        sections.Figure(
            f"own-validity-{i}",
            caption,
            lambda study=study: plots_own.validity(study.found["panels"]),
        )
        for i, study in enumerate(studies, 1)
    ]
