"""A study as data: models, seeds, settings and cells, and the runs they stand for."""

import dataclasses
import itertools
import re
import types
from collections.abc import Mapping, Sequence
from typing import Any

from jaxent.runs import spec as specs

NO_SETTINGS: Mapping[str, Any] = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Model:
    """A base model of a study.

    Attributes:
      name: a checkpoint folder or Hub id.
      seeds: seeds in place of the study's; None for those.
      settings: fields of `RunSpec` that hold for its runs.
    """

    name: str
    seeds: tuple[int, ...] | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Cell:
    """Runs that differ in model, seed and the listed values alone.

    Attributes:
      values: by field of `RunSpec`, the values that it takes, each with each.
      models: names of the models that it is for; None for all.
      seeds: seeds in place of the model's; None for those.
      begin_from: fields of the run whose adapter each run begins from, besides its own
        model and seed; None for PEFT's initial adapter.
      where: its place in its file, for errors.
    """

    values: Mapping[str, tuple]
    models: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    begin_from: Mapping[str, Any] | None = None
    where: str = "runs"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table over seeds of a study's finished runs.

    Attributes:
      by: fields of `RunSpec` in which the runs of a row are equal.
      blocks: headings of `summary_table.QUANTITIES`, a tuple a block of columns.
      title: its title.
      where: by field, the values that a run must have one of.
      unless: by field, the values that a run must have none of.
      steps: whether it has a row a measurement, in place of one a run.
    """

    by: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]
    title: str = ""
    where: Mapping[str, tuple] = dataclasses.field(default_factory=dict)
    unless: Mapping[str, tuple] = dataclasses.field(default_factory=dict)
    steps: bool = False

    def selects(self, run: specs.RunSpec) -> bool:
        """Whether a run belongs to the table."""
        return all(
            getattr(run, name) in values for name, values in self.where.items()
        ) and not any(
            getattr(run, name) in values for name, values in self.unless.items()
        )


@dataclasses.dataclass(frozen=True)
class StudySpec:
    """A study.

    Attributes:
      name: its own results go to a folder of this name.
      models: its base models.
      cells: its runs on each of them.
      seeds: those of models and cells that have none of their own.
      settings: fields of `RunSpec` that hold for every run.
      interventions: by label, the settings of interventions of its own.
      tables: what it shows at the end; a default one where there is none.
      source: its file, for errors.
    """

    name: str
    models: tuple[Model, ...]
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    interventions: Mapping[str, Mapping[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    tables: tuple[Table, ...] = ()
    source: str = "study"

    def with_models(self, names: Sequence[str]) -> "StudySpec":
        """The study on other models; those that it knows keep seeds and settings."""
        known = {model.name: model for model in self.models}
        models = tuple(known.get(name, Model(name)) for name in names)
        return dataclasses.replace(self, models=models)

    def with_seeds(self, seeds: Sequence[int]) -> "StudySpec":
        """The study with these seeds alone."""
        models = tuple(dataclasses.replace(m, seeds=None) for m in self.models)
        cells = tuple(dataclasses.replace(c, seeds=None) for c in self.cells)
        return dataclasses.replace(self, models=models, cells=cells, seeds=tuple(seeds))

    def with_settings(
        self, given: Mapping[str, Any], defaults: Mapping[str, Any] = NO_SETTINGS
    ) -> "StudySpec":
        """The study with settings above its own, and others below."""
        settings = {**defaults, **self.settings, **given}
        return dataclasses.replace(self, settings=settings)

    def with_cell(self, index: int, **changes: Any) -> "StudySpec":
        """The study with one cell changed; `values` are added to the cell's own."""
        cell = self.cells[index]
        if "values" in changes:
            changes["values"] = {**cell.values, **changes["values"]}
        cells = list(self.cells)
        cells[index] = dataclasses.replace(cell, **changes)
        return dataclasses.replace(self, cells=tuple(cells))


def expand(study: StudySpec) -> list[specs.RunSpec]:
    """The runs of a study, model by model and cell by cell.

    A setting of a cell wins over one of its model, that over one of the study's own
    intervention, that over one of the study, and that over one of the paper's
    intervention. B0 trains nothing: it is there once, with seed 0. A run that two cells
    ask for is there once.

    Args:
      study: the study.

    Returns:
      The runs; one whose adapter another begins from comes before it.

    Raises:
      ValueError: in one line: a setting is wrong, a model or a run that is named is not
        there, or two different runs would have one folder.

    Example:
      >>> cell = Cell({"condition": ("B2", "B3"), "lora_r": (8, 16)})
      >>> [run.name for run in expand(StudySpec("s", (Model("a/m"),), (cell,)))][:2]
      ['m/B2-strong-lora_r8-seed0', 'm/B2-strong-lora_r16-seed0']
    """
    runs: list[specs.RunSpec] = []
    for cell in study.cells:
        _check_models(study, cell)
    for model in study.models:
        for cell in study.cells:
            if cell.models is None or model.name in cell.models:
                for run in _expand_cell(study, model, cell, runs):
                    _add(run, runs, _where(study, cell))
    return runs


def _where(study: StudySpec, cell: Cell) -> str:
    return f"{study.source}: {cell.where}"


def _check_models(study: StudySpec, cell: Cell) -> None:
    names = [model.name for model in study.models]
    for name in cell.models or ():
        if name not in names:
            raise ValueError(
                f"{_where(study, cell)}.models {name!r}, expected one of the models "
                f"{', '.join(names)}"
            )


def _expand_cell(
    study: StudySpec, model: Model, cell: Cell, before: Sequence[specs.RunSpec]
) -> list[specs.RunSpec]:
    if cell.seeds is not None:
        seeds = cell.seeds
    else:
        seeds = study.seeds if model.seeds is None else model.seeds
    runs = []
    for values in itertools.product(*cell.values.values()):
        chosen = _settings(study, model, cell, dict(zip(cell.values, values)))
        of_base = chosen.get("condition") == "B0"
        for seed in (0,) if of_base else seeds:
            run = _make_run(study, cell, chosen | {"model": model.name, "seed": seed})
            if cell.begin_from is not None:
                run = dataclasses.replace(run, adapter=_find(study, cell, run, before))
            runs.append(run)
    return runs


def _settings(
    study: StudySpec, model: Model, cell: Cell, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of a run but model and seed."""
    special = {**model.settings, **values}
    label = {**study.settings, **special}.get("intervention", "strong")
    known = dict.fromkeys([*specs.INTERVENTIONS, *study.interventions])
    if label not in known:
        raise ValueError(
            f"{_where(study, cell)}.intervention {label!r}, expected one of "
            f"{', '.join(known)}"
        )
    if label in study.interventions:
        chosen = {**study.settings, **study.interventions[label], **special}
    else:
        chosen = {**specs.INTERVENTIONS[label], **study.settings, **special}
    return {**chosen, "intervention": label}


def _with_label(run: specs.RunSpec, cell: Cell) -> specs.RunSpec:
    """The run, its intervention's label with what tells it from others of its cell.

    That is each setting of several values that the run's name does not show by itself.
    """
    labels = [run.intervention]
    for name, values in cell.values.items():
        own = getattr(run, name)
        others = [dataclasses.replace(run, **{name: one}) for one in values]
        if [other.name for other in others].count(run.name) > 1:
            labels.append(_label(name, own))
    return dataclasses.replace(run, intervention="-".join(labels))


def _label(name: str, value: Any) -> str:
    """What a run's name says of a setting that its cell gives several values."""
    text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return name + re.sub(r"[^\w.]+", "-", text)


def _make_run(study: StudySpec, cell: Cell, chosen: Mapping[str, Any]) -> specs.RunSpec:
    try:
        run = _with_label(specs.RunSpec(**chosen), cell)
        # Each of these checks its own settings.
        _ = run.training_mixture, run.lora_config, run.train_config, run.csr
    except (ValueError, TypeError) as error:
        raise ValueError(f"{_where(study, cell)}: {error}") from error
    return run


def _find(
    study: StudySpec, cell: Cell, run: specs.RunSpec, before: Sequence[specs.RunSpec]
) -> str:
    """The name of the run whose adapter a run begins from."""
    assert cell.begin_from is not None
    wanted = {"model": run.model, "seed": run.seed, **cell.begin_from}
    fitting = [
        one
        for one in before
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]
    if len(fitting) > 1:
        fitting = [one for one in fitting if one.intervention == run.intervention]
    if len(fitting) != 1:
        raise ValueError(
            f"{_where(study, cell)}.adapter {dict(cell.begin_from)}: {len(fitting)} "
            f"runs of {run.model}, seed {run.seed}, expected one in an earlier cell"
        )
    return fitting[0].name


def _add(run: specs.RunSpec, runs: list[specs.RunSpec], where: str) -> None:
    """Adds a run unless it is there; a different one of its name is refused."""
    same = next((one for one in runs if one.name == run.name), None)
    if same is None:
        runs.append(run)
    elif same != run:
        name, value, other = specs.differences(run, same)[0]
        raise ValueError(
            f"{where}: a run with {name} {value!r} and one with {other!r} would both "
            f"be in the folder {run.name}, expected one: give them interventions of "
            "their own"
        )


def default_tables(runs: Sequence[specs.RunSpec]) -> tuple[Table, ...]:
    """The tables of a study that names none.

    Args:
      runs: the study's.

    Returns:
      A table by all that a run's name says but the seed, and one of the runs that began
      from an adapter, if there are any.
    """
    by = ("model", "condition", "intervention", "csr_lambda")
    first = ("CVO before", "CVO", "CVO change", "EI before", "EI", "EI change")
    blocks = (
        (*first, "V-purity", "domain accuracy", "drift", "final loss"),
        ("EI, all probes", "SEI"),
    )
    bare: Mapping[str, tuple] = {"adapter": (None,)}
    tables = [Table(by, blocks, "Runs", where=bare)]
    if any(run.adapter for run in runs):
        tables.append(Table(by, blocks, "Continued from an adapter", unless=bare))
    return tuple(tables)
