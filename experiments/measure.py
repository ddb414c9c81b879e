"""Measures entanglement in a checkpoint, with or without an adapter, at one layer or all of them.

    python experiments/measure.py --model=Qwen/Qwen2.5-Coder-7B --adapter=runs/qwen7b_b3_0/adapter --output_dir=runs/measure
    python experiments/measure.py --preset=tiny

Writes measure.json (one record a layer), table.txt and the figures damage, spectrum, estimates and, with several layers,
depth (PNG and SVG) to --output_dir. With an adapter, also its SV energy and how far it moved the probes' activations from the base
model's, inside and outside the target domain's subspace (section 6.1). A 7B model takes about 6 GB and a minute on one GPU; the measurement itself
takes seconds. Section 3.2 measures the terminal layer: Qwen-7B's base has EI 0.945 (Table 2).
"""

import dataclasses
import json
import pathlib
import sys

import checkpoint_flags
import device_flags
import numpy as np
from absl import app, flags

from jaxent.data import probes
from jaxent.distributed import processes
from jaxent.measure import capture, concepts, drift, energy, entangle, penalty
from jaxent.report import figures
from jaxent.runs import console, validate
from jaxent.runs import folder as run_folder

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "folder for the results")
flags.DEFINE_string("probes", "triad", "probe set: triad, hexad or a JSONL file")
flags.DEFINE_integer("probe_sets", None, "first replicate sets of the probes only")
flags.DEFINE_string(
    "layers", "last", "last (after the final norm), all, or numbers: 0 is the embedding"
)
flags.DEFINE_enum(
    "pooling", "mean", capture.POOLINGS, "mean over a text's tokens, or its last"
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


def chosen_layers(config) -> list[int]:
    """Numbers of the layers to measure, as Hugging Face's hidden_states has them."""
    if FLAGS.layers == "last":
        return [config.layers]
    if FLAGS.layers == "all":
        return list(range(config.layers + 1))
    wanted = FLAGS.layers.split(",")
    if not all(w.isdigit() and int(w) <= config.layers for w in wanted):
        raise ValueError(
            f"--layers {FLAGS.layers}: expected last, all, or numbers from 0 to {config.layers}"
        )
    return [int(w) for w in wanted]


def table(measured: list[dict]) -> str:
    """Estimators, then what they rest on, one row a layer; the last layer's damage; what is undefined and why."""
    last, concept_names = measured[-1], list(measured[0]["accuracy"])
    mean, deviation = last["v_purity_null"]
    estimates = [
        [str(m["layer"]), *(_with_interval(m, m[n], n) for n in figures.ESTIMATORS)]
        for m in measured
    ]
    dotted = lambda m, key, prefix, *form: [
        _with_interval(m, m[key][c], f"{prefix}.{c}", *form) for c in concept_names
    ]
    accuracy = [
        [
            str(m["layer"]),
            *dotted(m, "accuracy", "accuracy"),
            f"{m['own_flips']} / {m['off_flips']}",
            f"{m['nested_own_flips']} / {m['nested_off_flips']}",
        ]
        for m in measured
    ]
    zero = lambda m: f"{max(map(abs, m['structural_zeros'].values())):.0e}"
    margins = [
        [
            str(m["layer"]),
            *dotted(m, "margins", "margin", "{:.4f}", "{:.4f}"),
            _weakest(m),
            zero(m),
            _with_interval(m, m["alpha_ratio"], "alpha_ratio", "{:.1e}", "{:.1e}"),
        ]
        for m in measured
    ]
    damage = [
        [
            a,
            *(
                _with_interval(last, v, f"damage.{a}.{b}")
                for b, v in zip(concept_names, row)
            ),
        ]
        for a, row in zip(concept_names, last["concept_damage"])
    ]
    damage.append(["(random)", *dotted(last, "random_damage", "random_damage")])
    return "\n".join(
        [
            console.format_table(["layer", *figures.ESTIMATORS.values()], estimates),
            f"V-purity of random loadings: {mean:.3f} +- {deviation:.3f}. The theorem's ratio, of the design alone: {last['structural_ratio']:.2f}.\n",
            console.format_table(
                [
                    "layer",
                    *(f"{c} accuracy" for c in concept_names),
                    "own / off flips",
                    "nested",
                ],
                accuracy,
            )
            + "\n",
            console.format_table(
                [
                    "layer",
                    *(f"{c} margin" for c in concept_names),
                    "weakest",
                    "structural zero",
                    "alpha (N-1) / tr G",
                ],
                margins,
            )
            + "\n",
            console.format_table(
                [
                    f"removed (layer {last['layer']})",
                    *(f"{c} lost" for c in concept_names),
                ],
                damage,
            ),
            "Accuracy lost where one direction is removed, mean over the concept's own directions.\n",
            f"{last['probes']} probes in {last['sets']} replicate sets. [ ]: 95% interval over the sets; of CVO itself, of EI and nested EI with",
            "the sets' flips added up, else of the sets' mean, which differs from the value on all probes: those are more.",
            *_undefined(measured),
        ]
    )


def _with_interval(
    m: dict, value, name: str, form: str = "{:.3f}", ends: str = "{:.2f}"
) -> str:
    found = m["intervals"].get(name)
    spread = (
        f" [{ends.format(found['low'])}, {ends.format(found['high'])}]"
        if found and found["low"] is not None
        else ""
    )
    return ("-" if value is None else form.format(value)) + spread


def _weakest(m: dict) -> str:
    votes = (
        f" ({m['weakest_sets'][m['weakest']]} of {m['sets']} sets)" if m["sets"] else ""
    )
    return m["weakest"] + votes


def _undefined(measured: list[dict]) -> list[str]:
    """One line for every estimator that is undefined, on all probes or over the sets, at some layer; and EI's bound."""
    lines = []
    for m in measured:
        for name, why in m["reasons"].items():
            lines.append(
                f"Layer {m['layer']}: {name.replace('intervals.', 'interval of ')} is undefined: {why}."
            )
        if m["ei_bound"] is not None:
            lines.append(
                f"Layer {m['layer']}: no off-concept flip; EI is below {m['ei_bound']:.3f} with 95% confidence."
            )
    return lines


def drift_by_layer(x: np.ndarray, base: np.ndarray, domains: list[str]) -> list[dict]:
    """`drift.measure_drift` of every layer's activations [L,N,D] from the base model's, about the base's subspace of --drift_target."""
    rows = [d == FLAGS.drift_target for d in domains]
    found = [
        drift.measure_drift(
            h, h0, penalty.target_subspace(h0[rows], FLAGS.drift_variance)
        )
        for h, h0 in zip(x, base)
    ]
    return [
        {
            "target": FLAGS.drift_target,
            "variance": FLAGS.drift_variance,
            **dataclasses.asdict(one),
        }
        for one in found
    ]


def adapter_lines(measured: list[dict]) -> str:
    """SV energy, and drift layer by layer."""
    modules = ", ".join(
        f"{m} {v:.2g}" for m, v in measured[0]["sv_energy_modules"].items()
    )
    rows = [
        [
            str(m["layer"]),
            *(m["drift"][k] for k in ("total", "inside", "outside", "dimensions")),
        ]
        for m in measured
    ]
    target = f"{measured[0]['drift']['target']}'s subspace"
    header = [
        "layer",
        "drift |h-h0|^2 / |h0|^2",
        f"inside {target}",
        "outside",
        "its dimensions",
    ]
    cells = [[layer, *(f"{v:.3g}" for v in values)] for layer, *values in rows]
    return f"{console.format_table(header, cells)}\n\nSV energy of the adapter: {measured[0]['sv_energy']:.3g} ({modules})."


@processes.exit_together()
def main(_):
    try:
        started = checkpoint_flags.begin(
            {"layers": "all", "output_dir": "runs/measure"}
        )
        probe_set = probes.load_probes(FLAGS.probes, FLAGS.probe_sets)
        device_flags.start()
        found, adapter = checkpoint_flags.opened()
        mesh = checkpoint_flags.mesh(found)
        layers = chosen_layers(found.config)
        examples, labels = (
            validate.encoded(found, probe_set),
            concepts.label_probes(probe_set.labels),
        )
        domains = [row["domain"] for row in probe_set.labels]
        if adapter is not None:
            penalty.check_target(
                penalty.CsrConfig(
                    target=FLAGS.drift_target, variance=FLAGS.drift_variance
                ),
                domains,
            )
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"measure: {error}")
    model, adapter, compute = checkpoint_flags.loaded(found, adapter, mesh)
    where = capture.CaptureConfig(
        None if len(layers) > 1 else layers[0], FLAGS.pooling, FLAGS.final_norm
    )

    def activations(adapter):
        x = capture.capture(model, examples, adapter, where, compute)
        return x[layers] if len(layers) > 1 else x[None]

    x = activations(adapter)
    if adapter is not None:
        moved, before = energy.sv_energy(model, adapter), activations(None)
    if not processes.shutdown():
        return
    estimated = entangle.measure_layers(x, labels, FLAGS.ridge_alpha, FLAGS.scale_free)
    about = {
        "model": FLAGS.model,
        "adapter": FLAGS.adapter,
        "probe_set": probe_set.name,
        "pooling": FLAGS.pooling,
        "final_norm": FLAGS.final_norm,
        "scale_free": FLAGS.scale_free,
        "dtype": str(np.dtype(compute.dtype)),
        "load_in_4bit": FLAGS.load_in_4bit,
    }
    if adapter is not None:
        about |= {"sv_energy": moved.total, "sv_energy_modules": moved.modules}
    about |= validate.provenance(found, started, FLAGS.adapter, probe_set)
    measured = [
        about | {"layer": layer, **one.to_json()}
        for layer, one in zip(layers, estimated)
    ]
    if adapter is not None:
        moves = drift_by_layer(x, before, domains)
        measured = [one | {"drift": move} for one, move in zip(measured, moves)]
    out = pathlib.Path(FLAGS.output_dir)
    run_folder.write_text(out / "measure.json", json.dumps(measured, indent=1) + "\n")
    text = table(measured) + (
        "" if adapter is None else f"\n\n{adapter_lines(measured)}"
    )
    run_folder.write_text(out / "table.txt", text + "\n")
    for draw in (figures.damage, figures.spectrum, figures.estimates):
        draw(measured[-1], out / draw.__name__)
    if len(layers) > 1:
        figures.depth(measured, out / "depth")
    print(f"{text}\n\nResults: {out}")


if __name__ == "__main__":
    app.run(main)
