"""Do the estimators measure overlap?

    python experiments/estimator_validity.py --output_dir=runs/validity
    python experiments/estimator_validity.py --preset=tiny

Each against a known truth, over noise, scale, sample size and correlated noise.

A study of our own, which the paper lacks: synthetic activations whose concepts share a
known part of their structure (`jaxent.measure.synthetic`), and real activations of the
embedded checkpoint (or --model) on the triad probes, their class structure rotated to a
known overlap. Also simulates the coverage of the 95% intervals over replicate sets, of
triad's eight and hexad's five. Writes validity.json, table.txt and the figure validity
(PNG and SVG) to --output_dir. A quarter of an hour on two cores, no GPU; on one device.

With --coverage_only it draws the grid of docs/coverage.md instead: every printed
interval by metric, shape of the noise, SNR and overlap. Draws are kept in
--output_dir/draws, so that a killed run continues, and coverage.md is the table. About
40 minutes of one core at 300 draws.
"""

import dataclasses
import pathlib
import time

import revision_flags
from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint whose activations carry the last panel")
flags.DEFINE_enum(
    "preset",
    "paper",
    ["paper", "tiny"],
    "paper: the published settings; tiny: few draws",
)
flags.DEFINE_integer("draws", 12, "independent draws a point")
flags.DEFINE_integer(
    "coverage_draws", 200, "independent draws for the coverage of the intervals"
)
flags.DEFINE_bool("coverage_only", False, "only the grid of docs/coverage.md")
flags.DEFINE_enum(
    "coverage_part",
    "both",
    ["both", "cvo", "fits"],
    "with --coverage_only: CVO (seconds a setting), what is fitted, or both",
)
flags.DEFINE_integer("grid_draws", 300, "independent draws a setting of that grid")
flags.DEFINE_integer("dimensions", 128, "dimensions of the synthetic activations")
flags.DEFINE_integer("seed", 0, "seed of all draws")
flags.DEFINE_string("output_dir", "runs/validity", "folder for the results")
flags.adopt_module_key_flags(revision_flags)
command.parse(__name__, __doc__)

import coverage_grid
import numpy as np
import tqdm

from jaxent.checkpoint import hf
from jaxent.data import probes
from jaxent.measure import capture, concepts, crosstalk, entangle, synthetic
from jaxent.measure import coverage as interval_coverage
from jaxent.report.own_studies import validity
from jaxent.report.plots import style
from jaxent.runs import console, validate
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.stats import intervals

NAMES = ("cvo", "sei", "nested_ei", "ei")
SIZES, SETS = (3, 4, 4), 8
DESIGNS = {"triad": (SIZES, SETS), "hexad": ((6, 4, 4), 5)}
BASE = synthetic.Truth(overlap=0.3, snr=1.5)
DIAL = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


@dataclasses.dataclass(frozen=True)
class Panel:
    """One question: `axis` varies over `values`, everything else stays at the base."""

    axis: str
    title: str
    label: str
    values: tuple[float, ...]
    log: bool = False


PANELS = (
    Panel(
        "overlap",
        "Does it follow the truth?",
        "true overlap (mean squared cosine)",
        DIAL,
    ),
    Panel(
        "snr",
        "Does it drift with noise?",
        "signal to noise (SD of class means over noise, an axis)",
        (0.5, 0.7, 1.0, 1.5, 2.5, 4.0),
        log=True,
    ),
    Panel(
        "scale",
        "Does it drift with scale?",
        "factor on all activations",
        (0.01, 0.1, 1.0, 10.0, 100.0),
        log=True,
    ),
    Panel(
        "sets",
        "Does it drift with sample size?",
        "replicate sets of 48 probes",
        (4, 6, 8, 12, 16),
    ),
    Panel(
        "decay",
        "Does it stand correlated noise?",
        "b: variance of the noise's k-th axis falls as k^-b",
        (0.0, 0.5, 1.0, 1.5),
    ),
    Panel(
        "rotated",
        "And on real activations?",
        "true overlap, their class structure rotated to it",
        DIAL,
    ),
)


def draw(
    panel: Panel, value: float, rng, real
) -> tuple[np.ndarray, concepts.Labels, float]:
    """Activations, their labels and the true overlap of one point of a panel."""
    if panel.axis == "rotated":
        x, labels = real
        return synthetic.rotated(x, labels, value, rng), labels, value
    if panel.axis == "sets":
        truth, sets = BASE, int(value)
    else:
        truth, sets = dataclasses.replace(BASE, **{panel.axis: value}), SETS
    labels = synthetic.design(SIZES, sets)
    x = synthetic.activations(labels, FLAGS.dimensions, truth, rng)
    return x, labels, truth.overlap


def study(panel: Panel, real, bar) -> dict:
    """Mean and SD of every estimator at every value of a panel.

    They are taken over the draws in which the estimator is defined.
    """
    points = []
    for index, value in enumerate(panel.values):
        values = {name: [] for name in NAMES}
        for number in range(FLAGS.draws):
            rng = np.random.default_rng([FLAGS.seed, number, index])
            x, labels, truth = draw(panel, value, rng, real)
            measured = entangle.measure(x, labels)
            for name in NAMES:
                values[name].append(getattr(measured.values, name))
            bar.update()
        moments = {name: mean_and_sd(drawn) for name, drawn in values.items()}
        points.append({"value": value, "truth": truth, **moments})
    about = {name: getattr(panel, name) for name in ("axis", "title", "label", "log")}
    return about | {"draws": FLAGS.draws, "points": points}


def mean_and_sd(values: list[float]) -> dict:
    """Mean and SD of the values that are finite, and how many those are."""
    kept = np.array([value for value in values if np.isfinite(value)])
    if not len(kept):
        return {"mean": None, "sd": None, "defined": 0}
    sd = float(kept.std(ddof=1)) if len(kept) > 1 else 0.0
    return {"mean": float(kept.mean()), "sd": sd, "defined": len(kept)}


def coverage(bar) -> list[dict]:
    """How often the 95% intervals over probe sets hold what they should.

    That is the quantity's expectation, and for CVO the truth itself; of triad's design
    and of hexad's, which has fewer sets. For hexad crosstalk's intervals too, all pairs
    of domains together.
    """
    rows = []
    for design, (sizes, sets) in DESIGNS.items():
        labels = synthetic.design(sizes, sets)
        for snr in (1.0, 2.5):
            truth = dataclasses.replace(BASE, snr=snr)
            draws = []
            for number in range(FLAGS.coverage_draws):
                rng = np.random.default_rng([FLAGS.seed, 1, number])
                x = synthetic.activations(labels, FLAGS.dimensions, truth, rng)
                drawn = estimator_intervals(x, labels)
                if design == "hexad":
                    drawn |= crosstalk_intervals(x, labels)
                draws.append(drawn)
                bar.update()
            for name in draws[0]:
                known = truth.overlap if name == "cvo" else None
                shares = covered([one[name] for one in draws], known)
                rows.append({"estimator": name, "design": design, "snr": snr} | shares)
    return rows


def estimator_intervals(x, labels) -> dict[str, dict[str, intervals.Interval]]:
    """The interval of every estimator, by its name."""
    every = entangle.measure(x, labels).intervals
    return {name: {"": one} for name, one in every.items() if name in style.ESTIMATORS}


def crosstalk_intervals(x, labels) -> dict[str, dict[str, intervals.Interval]]:
    """By "CT, raw damage" and so on, the interval of every pair of domains."""
    every = crosstalk.crosstalk(x, labels, labels.concepts[0]).intervals
    titles = (("ct", "CT"), ("bdr", "BDR"), ("lean", "signed asymmetry"))
    return {
        f"{title}, {kind} damage": {pair: of[name] for pair, of in every[kind].items()}
        for kind in ("raw", "continuous")
        for name, title in titles
    }


def covered(draws: list[dict[str, intervals.Interval]], truth: float | None) -> dict:
    """Shares of intervals that hold their own expectation, and the truth.

    Args:
        draws: one or several intervals a draw, by name.
        truth: the true value, or None where it is not known.

    Returns:
        The two shares, the mean width, and how many intervals were defined.
    """
    expected, truly, widths, number = [], [], [], 0
    for name in draws[0]:
        every = [d[name] for d in draws if np.isfinite(d[name].low)]
        target = np.mean([i.mean for i in every]) if every else np.nan
        expected += [i.low <= target <= i.high for i in every]
        truly += [] if truth is None else [i.low <= truth <= i.high for i in every]
        widths += [i.high - i.low for i in every]
        number += len(every)
    shares = {"of_expectation": expected, "of_truth": truly, "width": widths}
    means = {n: float(np.mean(v)) if v else None for n, v in shares.items()}
    return {"defined": number, "draws": len(draws) * len(draws[0])} | means


def study_grid(out: pathlib.Path) -> None:
    """Draws the grid of intervals and writes its table."""
    settings, draws = interval_coverage.grid(), FLAGS.grid_draws
    if FLAGS.preset == "tiny":
        settings, draws = settings[:1], 3
    parts = ("cvo", "fits") if FLAGS.coverage_part == "both" else (FLAGS.coverage_part,)
    coverage_grid.draw(settings, parts, draws, FLAGS.seed, out / "draws")
    text = coverage_grid.format_rows(coverage_grid.rows(settings, out / "draws"))
    run_folder.write_text(out / "coverage.md", text + "\n")
    print(f"{text}\n\nResults: {out}")


def real_activations(
    model: validate.Checkpoint, probe_set: probes.ProbeSet
) -> tuple[np.ndarray, concepts.Labels]:
    """The probes' activations, and their labels."""
    ids = model.tokenizer.encode(probe_set.texts)
    x = capture.capture(hf.load(str(model.folder)), ids)
    return x, concepts.label_probes(probe_set.labels)


def format_study(panels: list[dict], coverages: list[dict]) -> str:
    """A table a panel, then the coverage of the intervals."""
    titles = [style.ESTIMATORS[name] for name in NAMES]
    blocks = []
    for panel in panels:
        rows = [
            [f"{p['value']:g}", p["truth"], *(format_moments(p[n]) for n in NAMES)]
            for p in panel["points"]
        ]
        blocks.append(console.format_table([panel["label"], "truth", *titles], rows))
    header = ["95% interval of", "design", "SNR", "holds the expectation"]
    header += ["holds the truth", "mean width", "defined in"]
    names = ("design", "snr", "of_expectation", "of_truth", "width")
    rows = []
    for one in coverages:
        title = style.ESTIMATORS.get(one["estimator"], one["estimator"])
        defined = f"{one['defined']} of {one['draws']}"
        rows.append([title, *(one[name] for name in names), defined])
    return "\n\n".join([*blocks, console.format_table(header, rows)])


def format_moments(moments: dict) -> str:
    """Mean +- SD, "-" where no draw was defined."""
    if moments["mean"] is None:
        return "-"
    return f"{moments['mean']:.3f} +- {moments['sd']:.3f}"


def main() -> None:
    """Draws, measures, and writes what was found."""
    started = time.perf_counter()
    if FLAGS.coverage_only:
        study_grid(pathlib.Path(FLAGS.output_dir))
        return
    if FLAGS.preset == "tiny":
        for flag, value in {"draws": 3, "coverage_draws": 10}.items():
            if not FLAGS[flag].present:
                setattr(FLAGS, flag, value)
    source = FLAGS.model or specs.TINY_MODEL
    model = validate.open_checkpoint(source, FLAGS.revision)
    probe_set = probes.load_probes("triad")
    real = real_activations(model, probe_set)
    total = FLAGS.draws * sum(len(panel.values) for panel in PANELS)
    total += 2 * len(DESIGNS) * FLAGS.coverage_draws
    with tqdm.tqdm(total=total, desc="draws", unit="draw") as bar:
        panels = [study(panel, real, bar) for panel in PANELS]
        coverages = coverage(bar)
    out = pathlib.Path(FLAGS.output_dir)
    record = {"panels": panels, "coverage": coverages}
    record |= {"model": source, "revision": FLAGS.revision}
    record |= validate.provenance(model, started, None, probe_set, FLAGS.seed)
    text = format_study(panels, coverages)
    run_folder.write_json(out / run_folder.VALIDITY, record)
    run_folder.write_text(out / run_folder.TABLE, text + "\n")
    style.save(validity.draw(panels), out / "validity")
    print(f"{text}\n\nResults: {out}")


if __name__ == "__main__":
    command.run(main)
