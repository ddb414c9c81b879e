"""What measuring one set of activations gives, grouped, with its JSON and its repr."""

import dataclasses
import math

from jaxent.measure import concepts
from jaxent.stats import intervals


@dataclasses.dataclass(frozen=True)
class Values:
    """The estimates over the replicate sets; NaN where undefined.

    Each is a function of the disjoint sets, fitted one by one: EI, nested EI and SEI
    are ratios of sums over sets, CVO takes the sets together, and everything else is
    the mean of the sets. The intervals are of the same functions. Without sets, or with
    one, they are of the one fit.

    Attributes:
      ei: the paper's entanglement intensity, off-own over own accuracy damage.
      nested_ei: the same with every fold's own directions.
      sei: off-own over own rise of R^2 loss, whole concept subspaces removed.
      overlap: mean cos^2 of the angles between the concepts' weight subspaces.
      cvo: the same between class-mean subspaces, cross-validated over replicate sets.
      v_purity: mean share of the dominant concept in each direction's loadings.
      ei_bound: 95% upper bound 3 / own_flips of EI when no off-concept prediction
        flipped but an own one did, else None.
      accuracy: leave-one-out accuracy of each concept.
      r2: leave-one-out R^2 of each concept.
      margins: of each concept, the (m-1)-th squared singular value of the class means
        weighted by class size, over tr G / N.
      weakest: the concept with the smallest margin.
      random_damage: accuracy that each concept loses where a random direction of the
        activations' span is removed, a mean over such directions.
    """

    ei: float
    nested_ei: float
    sei: float
    overlap: float
    cvo: float
    v_purity: float
    ei_bound: float | None
    accuracy: dict[str, float]
    r2: dict[str, float]
    margins: dict[str, float]
    weakest: str
    random_damage: dict[str, float]


@dataclasses.dataclass(frozen=True)
class AllProbes:
    """One fit on all probes together, without intervals; NaN where undefined.

    It is of more probes than a set has, and EI depends on their number: it stands
    beside no published EI and inside no interval. The fields are those of `Values` and
    `Counts`.
    """

    ei: float
    nested_ei: float
    sei: float
    overlap: float
    v_purity: float
    accuracy: dict[str, float]
    r2: dict[str, float]
    margins: dict[str, float]
    own_flips: int
    off_flips: int
    nested_own_flips: int
    nested_off_flips: int


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many probes, sets and flips: predictions that a removal makes wrong.

    Attributes:
      probes: number of probes N.
      sets: number of replicate sets.
      own_flips: EI's denominator, flips of a direction's dominant concept, all sets
        added up.
      off_flips: EI's numerator, flips of the other concepts.
      nested_own_flips: the nested EI's denominator.
      nested_off_flips: the nested EI's numerator.
      weakest_sets: in how many sets each concept has the smallest margin.
    """

    probes: int
    sets: int
    own_flips: int
    off_flips: int
    nested_own_flips: int
    nested_off_flips: int
    weakest_sets: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Directions and matrices between concepts; r directions, k concepts.

    Directions of different fits cannot be averaged, so what has an axis of directions
    is of the fit on all probes, and so are the structural zeros. The matrices between
    concepts are over the replicate sets.

    Attributes:
      singular: singular values [r] of the weights, descending.
      dominant: index [r] of each direction's dominant concept.
      damage: accuracy lost [r][k] by each concept when a direction is removed, not
        clipped; NaN for a direction that the activations do not have (singular value
        below 1e-6 of the largest).
      concept_damage: mean [k][k] of damage over the directions of all sets in which
        the row's concept dominates; NaN if there are none.
      rise: rise [k][k] of the column's R^2 loss when the row's subspace is removed.
      overlaps: mean cos^2 [k][k] between weight subspaces.
      cvos: cross-validated overlap [k][k], NaN where undefined; None without enough
        replicate sets.
      agreement: of each concept, the jackknife z of the smallest eigenvalue of its
        Gamma, which CVO needs to be 3 or more; None without enough replicate sets.
      structural_zeros: of each concept, the m-th squared singular value of its class
        means: 0 but for rounding, since centred class means sum to zero.
    """

    singular: list[float]
    dominant: list[int]
    damage: list[list[float]]
    concept_damage: list[list[float]]
    rise: list[list[float]]
    overlaps: list[list[float]]
    cvos: list[list[float]] | None
    agreement: dict[str, float] | None
    structural_zeros: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Null:
    """What the design of the probes gives by itself, whatever the model.

    Attributes:
      structural_ratio: the theorem's (r - d_max) / d_max, with r directions in all and
        d_max those of the largest concept: 1.67 for classes (3, 4, 4).
      v_purity_null: mean and SD of the V-purity of random loadings.
    """

    structural_ratio: float
    v_purity_null: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Penalty:
    """The ridge penalty, a mean over the fits of the replicate sets.

    Attributes:
      alpha: the penalty.
      alpha_ratio: alpha (N - 1) / tr G, which says how strong it is.
    """

    alpha: float
    alpha_ratio: float


# The order of the keys in JSON, which run folders and the report read.
_JSON_KEYS = (
    "ei",
    "nested_ei",
    "sei",
    "overlap",
    "cvo",
    "v_purity",
    "v_purity_null",
    "reasons",
    "own_flips",
    "off_flips",
    "ei_bound",
    "structural_ratio",
    "nested_own_flips",
    "nested_off_flips",
    "accuracy",
    "r2",
    "margins",
    "weakest",
    "weakest_sets",
    "structural_zeros",
    "damage",
    "concept_damage",
    "own",
    "singular",
    "random_damage",
    "rise",
    "overlaps",
    "cvos",
    "agreement",
    "intervals",
    "set_values",
    "all_probes",
    "probes",
    "sets",
    "alpha",
    "alpha_ratio",
)


@dataclasses.dataclass(frozen=True, repr=False)
class Measurement:
    """Everything measured on one set of activations.

    Attributes:
      values: the estimates over the replicate sets.
      intervals: the same values with their 95% intervals over replicate sets, by dotted
        name (`accuracy.shape`): t intervals, by jackknife where a value takes several
        sets together. Empty for fewer than two sets.
      set_values: the sets' contributions to each value, whose mean it is, by dotted
        name (`accuracy.shape`, `margin.shape`, `damage.shape.domain`, ...): the sets'
        own numbers, or `intervals.contributions` where a value takes several sets
        together. Also the parts of the ratios (`own_flips`, `off_rise`, ...), which
        are summed.
      counts: numbers of probes, sets and flips.
      all_probes: the fit on all probes together.
      geometry: directions and matrices between concepts.
      null: what the design gives by itself.
      penalty: the ridge penalty.
      reasons: why a value or an interval is undefined, by its name.
    """

    values: Values
    intervals: dict[str, intervals.Interval]
    set_values: dict[str, list[float]]
    counts: Counts
    all_probes: AllProbes
    geometry: Geometry
    null: Null
    penalty: Penalty
    reasons: dict[str, str]

    def to_json(self) -> dict:
        """One flat dict of plain values; NaN and infinity, which JSON lacks, are None.

        A direction's dominant concept has the key "own".
        """
        groups = dataclasses.asdict(self)
        kept = ("intervals", "set_values", "all_probes", "reasons")
        loose = {key: groups[key] for key in kept}
        for group in ("values", "counts", "geometry", "null", "penalty"):
            loose |= groups[group]
        loose["own"] = loose.pop("dominant")
        return concepts.to_plain({key: loose[key] for key in _JSON_KEYS})

    def __repr__(self) -> str:
        counts, of_all = self.counts, self.all_probes
        accuracies = [
            f"{concept} {self._with_interval(accuracy, f'accuracy.{concept}')}"
            for concept, accuracy in self.values.accuracy.items()
        ]
        return "\n".join(
            [
                f"Measurement of {counts.probes} probes; in parentheses the 95% "
                f"interval over {counts.sets} replicate sets",
                f"  CVO {self._estimate('cvo')}",
                f"  EI as published {self._estimate('ei')}, {_format_flips(counts)}",
                f"  nested EI {self._estimate('nested_ei')}, SEI "
                f"{self._estimate('sei')}",
                f"  accuracy: {', '.join(accuracies)}",
                f"  one fit on all probes: EI {_format_number(of_all.ei)}, nested EI "
                f"{_format_number(of_all.nested_ei)}, SEI {_format_number(of_all.sei)}",
                f"  smallest margin: {self.values.weakest}; ridge alpha "
                f"{self.penalty.alpha:.3g}",
                f"  undefined: {_format_reasons(self.reasons)}",
            ]
        )

    def _estimate(self, name: str) -> str:
        """An estimator's value with its interval."""
        return self._with_interval(getattr(self.values, name), name)

    def _with_interval(self, value: float, name: str) -> str:
        """A value, and its interval where it has one: "0.31 (0.25 to 0.37)"."""
        number = _format_number(value)
        interval = self.intervals.get(name)
        if interval is None or math.isnan(interval.low):
            return number
        return f"{number} ({interval.low:.3f} to {interval.high:.3f})"


def _format_number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _format_flips(counts: Counts) -> str:
    return f"{counts.own_flips} own flips, {counts.off_flips} off"


def _format_reasons(reasons: dict[str, str]) -> str:
    """Names and reasons; the intervals, which are many, are counted."""
    values = [
        f"{name} ({why})"
        for name, why in reasons.items()
        if not name.startswith("intervals.")
    ]
    undefined_intervals = len(reasons) - len(values)
    if undefined_intervals:
        values.append(f"intervals of {undefined_intervals} more")
    return ", ".join(values) or "nothing"
