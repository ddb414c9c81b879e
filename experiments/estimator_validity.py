"""Do the estimators measure overlap? Each against a known truth, over noise, scale, sample size and correlated noise.

    python experiments/estimator_validity.py --output_dir=runs/validity
    python experiments/estimator_validity.py --preset=tiny        # fewer draws

A study of our own, which the paper lacks: synthetic activations whose concepts share a known part of their structure
(`jaxent.measure.synthetic`), and real activations of the embedded checkpoint (or --model) on the triad probes, their
class structure rotated to a known overlap. Also simulates the coverage of the 95% intervals over replicate
sets, of triad's eight and hexad's five. Writes validity.json, table.txt and the figure validity (PNG and SVG) to --output_dir.
A quarter of an hour on two cores, no GPU; on one device.
"""

import dataclasses
import json
import pathlib
import time

import numpy as np
import tqdm
from absl import app, flags, logging

from jaxent.checkpoint import hf
from jaxent.data import probes
from jaxent.measure import capture, concepts, crosstalk, entangle, synthetic
from jaxent.report import figures, plots_own
from jaxent.runs import console, validate
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.stats import intervals

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model", specs.TINY_MODEL, "checkpoint whose activations carry the last panel"
)
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
flags.DEFINE_integer("dimensions", 128, "dimensions of the synthetic activations")
flags.DEFINE_integer("seed", 0, "seed of all draws")
flags.DEFINE_string("output_dir", "runs/validity", "folder for the results")

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
    labels = synthetic.design(SIZES, int(value) if panel.axis == "sets" else SETS)
    truth = (
        BASE
        if panel.axis == "sets"
        else dataclasses.replace(BASE, **{panel.axis: value})
    )
    return (
        synthetic.activations(labels, FLAGS.dimensions, truth, rng),
        labels,
        truth.overlap,
    )


def study(panel: Panel, real, bar) -> dict:
    """Mean and SD of every estimator at every value of a panel, over the draws in which it is defined."""
    points = []
    for index, value in enumerate(panel.values):
        found = {name: [] for name in NAMES}
        for number in range(FLAGS.draws):
            x, labels, truth = draw(
                panel, value, np.random.default_rng([FLAGS.seed, number, index]), real
            )
            measured = entangle.measure(x, labels)
            for name in NAMES:
                found[name].append(getattr(measured.values, name))
            bar.update()
        kept = {
            name: np.array([v for v in values if np.isfinite(v)])
            for name, values in found.items()
        }
        spread = {
            name: {
                "mean": float(v.mean()),
                "sd": float(v.std(ddof=1)) if len(v) > 1 else 0.0,
                "defined": len(v),
            }
            if len(v)
            else {"mean": None, "sd": None, "defined": 0}
            for name, v in kept.items()
        }
        points.append({"value": value, "truth": truth, **spread})
    about = {name: getattr(panel, name) for name in ("axis", "title", "label", "log")}
    return about | {"draws": FLAGS.draws, "points": points}


def coverage(bar) -> list[dict]:
    """How often the 95% intervals over replicate sets hold the quantity's expectation, and CVO's the truth itself.

    Of triad's design and of hexad's, which has fewer sets; there also crosstalk's, all pairs of domains together.
    """
    rows = []
    for design, (sizes, sets) in DESIGNS.items():
        labels = synthetic.design(sizes, sets)
        for snr in (1.0, 2.5):
            truth, found = dataclasses.replace(BASE, snr=snr), []
            for number in range(FLAGS.coverage_draws):
                rng = np.random.default_rng([FLAGS.seed, 1, number])
                x = synthetic.activations(labels, FLAGS.dimensions, truth, rng)
                found.append(
                    {
                        n: {"": i}
                        for n, i in entangle.measure(x, labels).intervals.items()
                        if n in figures.ESTIMATORS
                    }
                )
                if design == "hexad":
                    found[-1] |= _crosstalk_intervals(x, labels)
                bar.update()
            about = {"design": design, "snr": snr}
            rows += [
                {"estimator": n}
                | about
                | _covered([f[n] for f in found], truth.overlap if n == "cvo" else None)
                for n in found[0]
            ]
    return rows


def _crosstalk_intervals(x, labels) -> dict[str, dict[str, intervals.Interval]]:
    """By "CT, raw damage" and so on, the interval of every pair of domains."""
    found = crosstalk.crosstalk(x, labels, labels.concepts[0]).intervals
    return {
        f"{title}, {kind} damage": {pair: of[name] for pair, of in found[kind].items()}
        for kind in ("raw", "continuous")
        for name, title in (("ct", "CT"), ("bdr", "BDR"), ("lean", "signed asymmetry"))
    }


def _covered(draws: list[dict[str, intervals.Interval]], truth: float | None) -> dict:
    """Shares of the intervals (one or several a draw, by name) that hold their own expectation, and the truth; their mean width."""
    expected, truly, widths, number = [], [], [], 0
    for name in draws[0]:
        every = [d[name] for d in draws if np.isfinite(d[name].low)]
        target = np.mean([i.mean for i in every]) if every else np.nan
        expected += [i.low <= target <= i.high for i in every]
        truly += [] if truth is None else [i.low <= truth <= i.high for i in every]
        widths += [i.high - i.low for i in every]
        number += len(every)
    mean = lambda values: float(np.mean(values)) if values else None
    shares = {
        "of_expectation": mean(expected),
        "of_truth": mean(truly),
        "width": mean(widths),
    }
    return {"defined": number, "draws": len(draws) * len(draws[0])} | shares


def real_activations(
    model: validate.Checkpoint, probe_set: probes.ProbeSet
) -> tuple[np.ndarray, concepts.Labels]:
    """The probes' activations, and their labels."""
    x = capture.capture(
        hf.load(str(model.folder)), model.tokenizer.encode(probe_set.texts)
    )
    return x, concepts.label_probes(probe_set.labels)


def table(panels: list[dict], covered: list[dict]) -> str:
    blocks = []
    for panel in panels:
        cells = lambda p, n: (
            "-" if p[n]["mean"] is None else f"{p[n]['mean']:.3f} +- {p[n]['sd']:.3f}"
        )
        rows = [
            [f"{p['value']:g}", p["truth"], *(cells(p, n) for n in NAMES)]
            for p in panel["points"]
        ]
        blocks.append(
            console.format_table(
                [panel["label"], "truth", *(figures.ESTIMATORS[n] for n in NAMES)], rows
            )
        )
    header = [
        "95% interval of",
        "design",
        "SNR",
        "holds the expectation",
        "holds the truth",
        "mean width",
        "defined in",
    ]
    rows = [
        [
            figures.ESTIMATORS.get(r["estimator"], r["estimator"]),
            *(r[k] for k in ("design", "snr", "of_expectation", "of_truth", "width")),
            f"{r['defined']} of {r['draws']}",
        ]
        for r in covered
    ]
    return "\n\n".join([*blocks, console.format_table(header, rows)])


def main(_):
    started = time.perf_counter()
    logging.set_verbosity(logging.WARNING)
    if FLAGS.preset == "tiny":
        for flag, value in {"draws": 3, "coverage_draws": 10}.items():
            if not FLAGS[flag].present:
                setattr(FLAGS, flag, value)
    model, probe_set = (
        validate.open_checkpoint(FLAGS.model),
        probes.load_probes("triad"),
    )
    real = real_activations(model, probe_set)
    total = (
        FLAGS.draws * sum(len(p.values) for p in PANELS)
        + 2 * len(DESIGNS) * FLAGS.coverage_draws
    )
    with tqdm.tqdm(total=total, desc="draws", unit="draw") as bar:
        panels = [study(panel, real, bar) for panel in PANELS]
        covered = coverage(bar)
    out = pathlib.Path(FLAGS.output_dir)
    found = {
        "panels": panels,
        "coverage": covered,
        **validate.provenance(model, started, None, probe_set, FLAGS.seed),
    }
    run_folder.write_text(out / "validity.json", json.dumps(found, indent=1) + "\n")
    run_folder.write_text(out / "table.txt", table(panels, covered) + "\n")
    figures.save(plots_own.validity(panels), out / "validity")
    print(f"{table(panels, covered)}\n\nResults: {out}")


if __name__ == "__main__":
    app.run(main)
