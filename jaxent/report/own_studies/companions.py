"""Which companion? Tables and figures of the studies of companion_metric.py."""

import collections
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import figures, grid, tables
from jaxent.report import values as table_values
from jaxent.report.plots import style
from jaxent.runs import conclusions, records
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
_Values = dict[str, table_values.Value]


def companion_tables(metrics: Sequence[records.Metric]) -> list[grid.Grid]:
    """Every companion on both axes, the ranks, and how training judged them.

    Args:
      metrics: the companion metric of each model.

    Returns:
      The grids that have a row; without a check by training there is no judgement.
    """
    axes, ranks, judged = [], [], []
    for metric, model in zip(metrics, model_names(metrics)):
        axes += _axis_rows(metric.content, model)
        ranks += _rank_rows(metric.content, model)
        judged += _judged_rows(metric.content, model)
    every = (
        (
            "own-companions",
            "Companions on both axes",
            "Mean ± SD over n seeds; losses in nats a token of held-out texts of the "
            "target. A drop is that after a few steps on the companion alone. The last "
            "column is the change of that loss after training on target and companion "
            "together: higher is worse.",
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
            "Pairs of n companions whose mean change after training is ordered as "
            "predicted; clear pairs are those that all seeds order alike. p is exact, "
            "over all orders.",
            _JUDGED,
            judged,
        ),
    )
    return [tables.measured(*one) for one in every if one[-1]]


def model_names(metrics: Sequence[records.Metric]) -> list[str]:
    """A model's name for each record, with its folder where several are of one."""
    plain = [paper_models.identify_model(metric.model)[0] for metric in metrics]
    number = collections.Counter(plain)
    return [
        f"{name} ({metric.folder})" if number[name] > 1 else name
        for name, metric in zip(plain, metrics)
    ]


def answers(metrics: Sequence[records.Metric]) -> list[str]:
    """What training says of the two axes, a sentence for each model with a check."""
    return [
        f"{model}: {conclusions.companion_answer(metric.content['judged'])}"
        for metric, model in zip(metrics, model_names(metrics))
        if metric.content["judged"]
    ]


def companion_figures(metrics: Sequence[records.Metric]) -> Iterable[figures.Figure]:
    """Draws a map of the companions of each model.

    Args:
      metrics: the companion metric of each model.

    Yields:
      One figure at a time.
    """
    for number, (metric, model) in enumerate(zip(metrics, model_names(metrics)), 1):
        yield figures.Figure(
            f"own-companions-{number}",
            f"Companions of {model}: interference against two measures of transfer; "
            "upper left is best.",
            draw(metric.content),
        )


def _axis_rows(metric: Mapping, model: str) -> table_values.Rows:
    rows: table_values.Rows = []
    for domain, axis in metric["axes"].items():
        is_target = domain == metric["question"]["target"]
        name = f"{domain} (the target)" if is_target else domain
        worse = metric["worse"].get(metric["conditions"].get(domain), [])
        values = _axis_values(axis, worse)
        rows.append(({"model": model, "companion": name}, values))
    return rows


def _axis_values(axis: Mapping, worse: Sequence[float]) -> _Values:
    values = {name: _over_seeds(axis[name]) for name in ("cosine", "alignment", "drop")}
    if axis["ct"] is not None:
        values["ct"] = table_values.Value(axis["ct"])
    if worse:
        values["worse"] = _over_seeds(worse)
    return values


def _over_seeds(values: Sequence[float | None]) -> table_values.Value:
    defined = [value for value in values if value is not None]
    if not defined:
        why = "the gradient’s halves do not agree in any seed"
        return table_values.Value(None, n=0, why=why)
    summary = intervals.over_seeds(defined)
    missing = len(values) - len(defined)
    return table_values.Value(
        summary.mean,
        summary.sd if summary.n > 1 else None,
        summary.n,
        why=f"undefined in {missing} of {len(values)} seeds" if missing else None,
    )


def _rank_rows(metric: Mapping, model: str) -> table_values.Rows:
    companions = metric["question"]["companions"]
    rows: table_values.Rows = []
    for companion in companions:
        values = {
            name: table_values.Value(ranks[companion], n=len(companions))
            for name, ranks in metric["ranks"].items()
            if ranks[companion]
        }
        rows.append(({"model": model, "companion": companion}, values))
    return rows


def _judged_rows(metric: Mapping, model: str) -> table_values.Rows:
    number = len(metric["question"]["companions"])
    return [
        ({"model": model, "predictor": name}, _judged_values(judged, number))
        for name, judged in (metric["judged"] or {}).items()
    ]


def _judged_values(judged: Mapping, number: int) -> _Values:
    every = f"{judged['right']} of {judged['pairs']}"
    clear = f"{judged['clear_right']} of {judged['clear_pairs']}"
    values = {
        "all": table_values.Value(every, n=number),
        "clear": table_values.Value(clear, n=number),
    }
    for name in ("rho", "p"):
        if judged[name] is not None:
            values[name] = table_values.Value(judged[name])
    return values


def draw(metric: Mapping):
    """Draws crosstalk across and both measures of transfer up.

    A good companion is at the upper left; bars are one SD over seeds.

    Args:
      metric: the record of one model in a companion metric's study.json.

    Returns:
      The figure.
    """
    question = metric["question"]
    drawn, (panels,) = style.figure(1, 2, width=4.4, height=3.6)
    labels = (
        f"gradient alignment with {question['target']}",
        f"drop of held-out {question['target']} loss (nats a token)",
    )
    for panel, quantity, label in zip(panels, ("alignment", "drop"), labels):
        _draw_companions(panel, metric, quantity)
        style.zero_line(panel)
        panel.margins(x=0.25, y=0.2)
        panel.set_xlabel(f"crosstalk with {question['target']} (interference)")
        panel.set_ylabel(label)
    panels[0].set_title("Companions (± SD over seeds): upper left is best")
    return drawn


def _draw_companions(panel, metric: Mapping, quantity: str) -> None:
    """A point with its name for each companion that the quantity is defined for."""
    axes, companions = metric["axes"], metric["question"]["companions"]
    across = sorted(companions, key=lambda companion: axes[companion]["ct"])
    for color, companion in zip(style.COLORS, companions):
        values = [v for v in axes[companion][quantity] if v is not None]
        if not values:
            continue
        point = (axes[companion]["ct"], np.mean(values))
        sd = np.std(values, ddof=1) if len(values) > 1 else 0
        panel.errorbar(
            *point,
            sd,
            fmt="o",
            color=color,
            capsize=3,
        )
        # Neighbours have their names above and below the point in turn.
        offset = (6, -13 if across.index(companion) % 2 else 5)
        panel.annotate(
            companion,
            point,
            offset,
            textcoords="offset points",
            color=color,
        )
