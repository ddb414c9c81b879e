r"""Measures entanglement in a checkpoint, with or without an adapter.

    python experiments/measure.py --model=Qwen/Qwen2.5-Coder-7B \
        --adapter=runs/qwen7b_b3_0/adapter --output_dir=runs/measure
    python experiments/measure.py --preset=tiny

At one layer or all of them.

Writes measure.json (one record a layer), table.txt and the figures damage, spectrum,
estimates and, with several layers, depth (PNG and SVG) to --output_dir. With an
adapter, also its SV energy and how far it moved the probes' activations from the base
model's, inside and outside the target domain's subspace (section 6.1). A 7B model takes
about 6 GB and a minute on one GPU; the measurement itself takes seconds. Section 3.2
measures the terminal layer: Qwen-7B's base has EI 0.945 (Table 2).
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

import checkpoint_flags
from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "folder for the results")
flags.DEFINE_string(
    "probes", "triad", "probe set: triad, hexad, triad_v2, hexad_v2 or a JSONL file"
)
flags.DEFINE_integer("probe_sets", None, "first replicate sets of the probes only")
flags.DEFINE_string(
    "layers", "last", "last (after the final norm), all, or numbers: 0 is the embedding"
)
flags.DEFINE_enum(
    "pooling", "mean", ["mean", "last"], "mean over a text's tokens, or its last"
)
flags.DEFINE_bool(
    "final_norm",
    True,
    "the last layer's activations after the final norm; otherwise before it",
)
flags.DEFINE_float(
    "ridge_alpha", None, "ridge penalty (default 1; with --scale_free 0.1)"
)
flags.DEFINE_bool(
    "scale_free",
    False,
    "penalty alpha tr(G) / (N - 1), which follows the activations' scale",
)
flags.DEFINE_string(
    "drift_target",
    "code",
    "with an adapter: domain of the probes whose subspace splits its drift",
)
flags.DEFINE_float(
    "drift_variance", 0.9, "share of that domain's variance that the subspace holds"
)
flags.adopt_module_key_flags(checkpoint_flags)
command.parse(__name__, __doc__)

import checkpoints
import devices
import numpy as np

from jaxent.data import probes
from jaxent.distributed import processes
from jaxent.measure import capture, concepts, drift, energy, entangle, penalty
from jaxent.model import trained
from jaxent.report.plots import measurement, style
from jaxent.runs import console, validate
from jaxent.runs import folder as run_folder

_ABOUT_SETS = """{probes} probes in {sets} replicate sets, each fitted by itself. EI,
nested EI and SEI are ratios of the sets' sums, CVO takes the sets together, all else is
their mean; [ ] is the 95% interval of the same over the sets. CVO is the number to
trust; EI is as published."""


def chosen_layers(config) -> list[int]:
    """Numbers of the layers to measure, as Hugging Face's hidden_states has them."""
    if FLAGS.layers == "last":
        return [config.layers]
    if FLAGS.layers == "all":
        return list(range(config.layers + 1))
    wanted = FLAGS.layers.split(",")
    if not all(w.isdigit() and int(w) <= config.layers for w in wanted):
        raise ValueError(
            f"--layers {FLAGS.layers}: expected last, all, or numbers from 0 to "
            f"{config.layers}"
        )
    return [int(w) for w in wanted]


def format_measurement(layers: list[dict]) -> str:
    """What was measured, as tables.

    Args:
        layers: a record a layer, the last layer last.

    Returns:
        The estimators and what they rest on, a row a layer; the last layer's removal
        damage; and what is undefined, and why.
    """
    last = layers[-1]
    mean, deviation = last["v_purity_null"]
    return "\n".join(
        [
            format_estimates(layers, style.FIRST),
            f"V-purity of random loadings: {mean:.3f} +- {deviation:.3f}. The "
            f"theorem's ratio, of the design alone: {last['structural_ratio']:.2f}.\n",
            format_accuracies(layers) + "\n",
            format_margins(layers) + "\n",
            format_damage(last),
            "Accuracy lost where one direction is removed, mean over the concept's own "
            "directions.\n",
            format_estimates(layers, style.SECOND_OPINIONS) + "\n",
            format_all_probes(layers) + "\n",
            _ABOUT_SETS.format(**last),
            *undefined(layers),
        ]
    )


def format_estimates(layers: list[dict], names: Sequence[str]) -> str:
    """Some estimators, a row a layer."""
    rows = [
        [str(m["layer"]), *(with_interval(m, m[name], name) for name in names)]
        for m in layers
    ]
    titles = [style.ESTIMATORS[name] for name in names]
    return console.format_table(["layer", *titles], rows)


def format_all_probes(layers: list[dict]) -> str:
    """The one fit on all probes together, a row a layer, without intervals."""
    names = [name for name in style.ESTIMATORS if name != "cvo"]
    concepts = list(layers[0]["accuracy"])
    rows = []
    for m in layers:
        fit = m["all_probes"]
        row = [str(m["layer"]), *(fit[name] for name in names)]
        row += [fit["accuracy"][concept] for concept in concepts]
        rows.append([*row, f"{fit['own_flips']} / {fit['off_flips']}"])
    header = [f"layer, one fit on all {layers[0]['probes']} probes"]
    header += [style.ESTIMATORS[name] for name in names]
    header += [*(f"{concept} accuracy" for concept in concepts), "own / off flips"]
    return console.format_table(header, rows)


def format_accuracies(layers: list[dict]) -> str:
    """Accuracy of every concept, and the flips that EI and nested EI count."""
    header = ["layer", *(f"{c} accuracy" for c in layers[0]["accuracy"])]
    rows = [
        [
            str(m["layer"]),
            *by_concept(m, "accuracy", "accuracy"),
            f"{m['own_flips']} / {m['off_flips']}",
            f"{m['nested_own_flips']} / {m['nested_off_flips']}",
        ]
        for m in layers
    ]
    return console.format_table([*header, "own / off flips", "nested"], rows)


def format_margins(layers: list[dict]) -> str:
    """Non-degeneracy margins, and how strong the ridge penalty was."""
    header = ["layer", *(f"{c} margin" for c in layers[0]["accuracy"])]
    header += ["weakest", "structural zero", "alpha (N-1) / tr G"]
    rows = []
    for m in layers:
        zero = max(map(abs, m["structural_zeros"].values()))
        row = [str(m["layer"]), *by_concept(m, "margins", "margin", "{:.4f}", "{:.4f}")]
        row += [weakest(m), f"{zero:.0e}"]
        ratio = with_interval(m, m["alpha_ratio"], "alpha_ratio", "{:.1e}", "{:.1e}")
        rows.append([*row, ratio])
    return console.format_table(header, rows)


def format_damage(m: dict) -> str:
    """Removal damage of one layer, concept by concept, and of random directions."""
    names = list(m["accuracy"])
    rows = []
    for removed, values in zip(names, m["concept_damage"]):
        cells = [
            with_interval(m, value, f"damage.{removed}.{lost}")
            for lost, value in zip(names, values)
        ]
        rows.append([removed, *cells])
    rows.append(["(random)", *by_concept(m, "random_damage", "random_damage")])
    header = [f"removed (layer {m['layer']})", *(f"{c} lost" for c in names)]
    return console.format_table(header, rows)


def by_concept(m: dict, key: str, prefix: str, *form: str) -> list[str]:
    """A quantity of every concept with its interval."""
    return [
        with_interval(m, value, f"{prefix}.{concept}", *form)
        for concept, value in m[key].items()
    ]


def with_interval(
    m: dict, value, name: str, form: str = "{:.3f}", ends: str = "{:.3f}"
) -> str:
    """A value and its interval over probe sets, as 0.123 [0.100, 0.150]."""
    text = "-" if value is None else form.format(value)
    interval = m["intervals"].get(name)
    if not interval or interval["low"] is None:
        return text
    return f"{text} [{ends.format(interval['low'])}, {ends.format(interval['high'])}]"


def weakest(m: dict) -> str:
    """The concept with the least margin, and in how many sets it is that one."""
    if not m["sets"]:
        return m["weakest"]
    votes = m["weakest_sets"][m["weakest"]]
    return f"{m['weakest']} ({votes} of {m['sets']} sets)"


def undefined(layers: list[dict]) -> list[str]:
    """A line for every estimator that is undefined at some layer, and EI's bound."""
    lines = []
    for m in layers:
        for name, why in m["reasons"].items():
            what = name.replace("intervals.", "interval of ")
            what = what.replace("all_probes.", "one fit on all probes, ")
            if what == "intervals":
                what = "every interval"
            lines.append(f"Layer {m['layer']}: {what} is undefined: {why}.")
        if m["ei_bound"] is not None:
            lines.append(
                f"Layer {m['layer']}: no off-concept flip; EI is below "
                f"{m['ei_bound']:.3f} with 95% confidence."
            )
    return lines


def measure_drift(x: np.ndarray, base: np.ndarray, domains: list[str]) -> list[dict]:
    """How far each layer's activations [L, N, D] moved from the base model's.

    Inside and outside the base's subspace of --drift_target.
    """
    rows = [d == FLAGS.drift_target for d in domains]
    records = []
    for h, h0 in zip(x, base):
        basis = penalty.target_subspace(h0[rows], FLAGS.drift_variance)
        movement = drift.measure_drift(h, h0, basis)
        settings = {"target": FLAGS.drift_target, "variance": FLAGS.drift_variance}
        records.append(settings | dataclasses.asdict(movement))
    return records


def format_adapter(layers: list[dict]) -> str:
    """Drift layer by layer, and the adapter's SV energy."""
    target = f"{layers[0]['drift']['target']}'s subspace"
    header = ["layer", "drift |h-h0|^2 / |h0|^2", f"inside {target}", "outside"]
    header.append("its dimensions")
    names = ("total", "inside", "outside", "dimensions")
    rows = [
        [str(m["layer"]), *(f"{m['drift'][name]:.3g}" for name in names)]
        for m in layers
    ]
    energies = layers[0]["sv_energy_modules"]
    modules = ", ".join(f"{module} {value:.2g}" for module, value in energies.items())
    return (
        f"{console.format_table(header, rows)}\n\nSV energy of the adapter: "
        f"{layers[0]['sv_energy']:.3g} ({modules})."
    )


def check_drift(domains: list[str]) -> None:
    """Raises ValueError unless --drift_target is one of the probes' domains."""
    config = penalty.CsrConfig(target=FLAGS.drift_target, variance=FLAGS.drift_variance)
    penalty.check_target(config, domains)


def write_results(out: pathlib.Path, layers: list[dict], has_adapter: bool) -> str:
    """Writes measure.json, table.txt and the figures; gives the table."""
    run_folder.write_json(out / run_folder.MEASURE, layers)
    text = format_measurement(layers)
    if has_adapter:
        text += f"\n\n{format_adapter(layers)}"
    run_folder.write_text(out / run_folder.TABLE, text + "\n")
    for draw in (measurement.damage, measurement.spectrum, measurement.estimates):
        draw(layers[-1], out / draw.__name__)
    if len(layers) > 1:
        measurement.depth(layers, out / "depth")
    return text


@processes.exit_together()
def main() -> None:
    """Captures activations on the devices, then measures on the host."""
    try:
        started = checkpoints.begin({"layers": "all", "output_dir": "runs/measure"})
        probe_set = probes.load_probes(FLAGS.probes, FLAGS.probe_sets)
        devices.start()
        checkpoint, adapter = checkpoints.open_all()
        mesh = checkpoints.choose_mesh(checkpoint)
        layers = chosen_layers(checkpoint.config)
        ids = validate.encode_probes(checkpoint, probe_set)
        labels = concepts.label_probes(probe_set.labels)
        domains = [row["domain"] for row in probe_set.labels]
        if adapter is not None:
            check_drift(domains)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"measure: {error}")
    model, adapter, compute = checkpoints.load(checkpoint, adapter, mesh)
    one_layer = layers[0] if len(layers) == 1 else None
    where = capture.CaptureConfig(one_layer, FLAGS.pooling, FLAGS.final_norm)

    def activations(tuned) -> np.ndarray:
        own, adapter = trained.split(model, tuned)
        x = capture.capture(own, ids, adapter, where, compute)
        return x[None] if one_layer is not None else x[layers]

    x = activations(adapter)
    about = {
        "model": FLAGS.model,
        "revision": FLAGS.revision,
        "adapter": FLAGS.adapter,
        "probe_set": probe_set.name,
        "pooling": FLAGS.pooling,
        "final_norm": FLAGS.final_norm,
        "scale_free": FLAGS.scale_free,
        "dtype": str(np.dtype(compute.dtype)),
        "load_in_4bit": FLAGS.load_in_4bit,
    }
    if adapter is not None:
        moved, before = energy.sv_energy(model, adapter), activations(None)
        about |= {"sv_energy": moved.total, "sv_energy_modules": moved.modules}
    if not processes.shutdown():
        return
    try:
        estimates = entangle.measure_layers(
            x, labels, FLAGS.ridge_alpha, FLAGS.scale_free
        )
    except ValueError as error:
        sys.exit(f"measure: {error}")
    about |= validate.provenance(checkpoint, started, FLAGS.adapter, probe_set)
    records = [
        about | {"layer": layer, **one.to_json()}
        for layer, one in zip(layers, estimates)
    ]
    if adapter is not None:
        drifts = measure_drift(x, before, domains)
        records = [one | {"drift": drift} for one, drift in zip(records, drifts)]
    out = pathlib.Path(FLAGS.output_dir)
    text = write_results(out, records, adapter is not None)
    print(f"{text}\n\nResults: {out}")


if __name__ == "__main__":
    command.run(main)
