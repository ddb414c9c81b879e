"""Records with the keys of the paper's cells, and which key belongs to which cell."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from jaxent.paper import models as paper_models
from jaxent.paper import settings as paper_settings
from jaxent.runs import records

Record = TypeVar(
    "Record",
    records.Run,
    records.Evaluation,
    records.Crosstalk,
    records.Single,
    covariant=True,
)


@dataclasses.dataclass(frozen=True)
class KeyedResult(Generic[Record]):
    """A record and its key.

    Attributes:
      key: model, condition ("B3>B2": B2 continues B3's adapter), and for trained ones
        intervention, seed and, with CSR, lambda.
      record: the record.
      of: folder of the run that it is, or that an evaluation or measurement of an
        adapter is of; None for a base model's.
    """

    key: Mapping[str, Any]
    record: Record
    of: str | None = None

    @property
    def base(self) -> str:
        """The name of the base model, without what a label adds to it."""
        record: Any = self.record
        if isinstance(record, (records.Crosstalk, records.Single)):
            return paper_models.identify_model(record.about["model"])[0]
        return paper_models.identify_model(record.settings["model"])[0]


@dataclasses.dataclass(frozen=True)
class ResultSet:
    """The records of one section of the page.

    In the paper's section no two runs and no two evaluations have one key.

    Attributes:
      origin: by a run's folder, the run whose adapter it continues.
    """

    runs: tuple[KeyedResult[records.Run], ...] = ()
    evaluations: tuple[KeyedResult[records.Evaluation], ...] = ()
    crosstalks: tuple[KeyedResult[records.Crosstalk], ...] = ()
    singles: tuple[KeyedResult[records.Single], ...] = ()
    origin: Mapping[str, records.Run] = dataclasses.field(default_factory=dict)

    @property
    def finished(self) -> tuple[KeyedResult[records.Run], ...]:
        """The runs that are finished."""
        return tuple(run for run in self.runs if run.record.summary is not None)

    def __bool__(self) -> bool:
        return bool(self.runs or self.evaluations or self.crosstalks or self.singles)


@dataclasses.dataclass(frozen=True)
class MatchedResults:
    """All records of a page.

    Attributes:
      paper: what fills the paper's cells.
      other: everything else.
      notes: records that are in neither, or in `other` for their settings, and why.
    """

    paper: ResultSet
    other: ResultSet
    notes: tuple[records.Note, ...]


def matches(cell: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    """Whether a record belongs to a cell.

    A base model has no intervention and no seed; B4 without a weight is B4 at 0.1.

    Args:
      cell: what the cell asks for.
      key: a record's key.

    Returns:
      Whether the key holds all that the cell asks for.

    Example:
      >>> matches({"condition": "B4"}, {"condition": "B4", "lambda": 0.1})
      True
      >>> matches({"condition": "B4"}, {"condition": "B4", "lambda": 0.3})
      False
    """
    usual = (None, paper_settings.CSR_LAMBDA)
    if "lambda" not in cell and key.get("lambda") not in usual:
        return False
    ignored = {"intervention", "seed"} if cell.get("condition") == "B0" else set()
    return all(
        key.get(name) == value for name, value in cell.items() if name not in ignored
    )
