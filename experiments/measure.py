"""Measures entanglement in a checkpoint, with or without an adapter, at one layer or all of them.

    python experiments/measure.py --model=Qwen/Qwen2.5-Coder-7B --adapter=runs/qwen7b_b3_0/adapter --out=runs/measure
    python experiments/measure.py --preset=tiny

Writes measure.json (one record a layer), table.txt and the figures damage, spectrum, estimates and, with several layers,
depth (PNG and SVG) to --out. A 7B model takes about 6 GB and a minute on one GPU; the measurement itself
takes seconds. Section 3.2 measures the terminal layer: Qwen-7B's base has EI 0.945 (Table 2).
"""

import json
import pathlib
import sys

import numpy as np
from absl import app, flags, logging

from jaxent.checkpoint import hf, peft, safetensors_folder
from jaxent.data import corpora, probes, tokens
from jaxent.measure import capture, concepts, energy, entangle
from jaxent.model import config as configs, transformer
from jaxent.report import figures, records, tables

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_string("adapter", None, "PEFT adapter folder")
flags.DEFINE_enum("preset", "none", ["none", "tiny"], "tiny: the embedded checkpoint, every layer")
flags.DEFINE_string("probes", "triad", "probe set: triad, hexad or a JSONL file")
flags.DEFINE_integer("replicates", None, "first replicate sets of the probes only")
flags.DEFINE_string("layers", "last", "last (after the final norm), all, or numbers: 0 is the embedding")
flags.DEFINE_enum("pooling", "mean", capture.POOLINGS, "mean over a text's tokens, or its last")
flags.DEFINE_float("alpha", 1.0, "ridge penalty")
flags.DEFINE_bool("scale_free", False, "penalty alpha tr(G) / (N - 1), which follows the activations' scale (alpha 0.1 is usual)")
flags.DEFINE_bool("quantize", True, "NF4 with double quantisation; otherwise the checkpoint's own weights")
flags.DEFINE_enum("dtype", None, ["float32", "bfloat16"], "arithmetic (default: float32 on CPU, else bfloat16)")
flags.DEFINE_string("out", None, "folder for the results")

_TINY = {"model": str(pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"), "layers": "all", "out": "runs/measure"}


def chosen_layers(config) -> list[int]:
    """Numbers of the layers to measure, as Hugging Face's hidden_states has them."""
    if FLAGS.layers == "last":
        return [config.layers]
    if FLAGS.layers == "all":
        return list(range(config.layers + 1))
    wanted = FLAGS.layers.split(",")
    if not all(w.isdigit() and int(w) <= config.layers for w in wanted):
        raise ValueError(f"--layers {FLAGS.layers}: expected last, all, or numbers from 0 to {config.layers}")
    return [int(w) for w in wanted]


def table(measured: list[dict]) -> str:
    """One row a layer: the value on all probes and, where there is one, the interval over replicate sets."""
    header = ["layer", *figures.ESTIMATORS.values(), *measured[0]["accuracy"], "weakest"]
    rows = []
    for m in measured:
        values = [_with_interval(m, name) for name in figures.ESTIMATORS]
        rows.append([str(m["layer"]), *values, *m["accuracy"].values(), m["weakest"]])
    mean, deviation = measured[0]["v_purity_null"]
    last = measured[-1]
    lines = [
        tables.text(header, rows),
        f"\n{last['probes']} probes in {last['sets']} replicate sets. [ ]: 95% interval over the sets, of the sets' mean for all but CVO.",
        f"V-purity of random loadings: {mean:.3f} +- {deviation:.3f}. alpha (N - 1) / tr G at the last layer: {last['alpha_ratio']:.2e}.",
        f"Removing a random direction costs {', '.join(f'{c} {v:.3f}' for c, v in last['random_damage'].items())}.",
        *[f"Layer {m['layer']}: {name} is undefined: {why}." for m in measured for name, why in m["reasons"].items() if "." not in name],
    ]
    return "\n".join(lines)


def _with_interval(m: dict, name: str) -> str:
    found = m["intervals"].get(name)
    spread = f" [{found['low']:.2f}, {found['high']:.2f}]" if found and found["low"] is not None else ""
    return tables.cell(m[name]) + spread


def main(_):
    logging.set_verbosity(logging.WARNING)
    for flag, value in _TINY.items() if FLAGS.preset == "tiny" else ():
        if not FLAGS[flag].present:
            setattr(FLAGS, flag, value)
    try:
        for name in ("model", "out"):
            if not FLAGS[name].value:
                raise ValueError(f"--{name} is missing (or use --preset=tiny)")
        probe_set = probes.load(FLAGS.probes, FLAGS.replicates)
        folder = safetensors_folder.locate(FLAGS.model)
        config = configs.read(folder)
        layers = chosen_layers(config)
        hf.check(safetensors_folder.open_folder(folder), config)
        adapter, spec = peft.load(FLAGS.adapter, config) if FLAGS.adapter else (None, None)
        tokenizer = tokens.load(folder)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"measure: {error}")
    model = hf.load(str(folder), FLAGS.quantize, progress=True)
    compute = transformer.default_compute(FLAGS.dtype)
    where = capture.Where(None if len(layers) > 1 else layers[0], FLAGS.pooling)
    x = capture.capture(model, tokenizer.encode(probe_set.texts), adapter, spec, where, compute)
    x = x[layers] if len(layers) > 1 else x[None]
    found = entangle.measure_layers(x, concepts.label(probe_set.labels), FLAGS.alpha, FLAGS.scale_free)
    about = {"model": FLAGS.model, "adapter": FLAGS.adapter, "probe_set": probe_set.name, "probe_hash": probe_set.hash,
             "pooling": FLAGS.pooling, "dtype": str(np.dtype(compute.dtype)), "quantize": FLAGS.quantize}  # fmt: skip
    if adapter is not None:
        moved = energy.energy(model, adapter, spec)
        about |= {"sv_energy": moved.total, "sv_energy_modules": moved.modules}
    measured = [about | {"layer": layer, **one.to_json()} for layer, one in zip(layers, found)]
    out = pathlib.Path(FLAGS.out)
    records.write(out / "measure.json", json.dumps(measured, indent=1) + "\n")
    records.write(out / "table.txt", table(measured) + "\n")
    for draw in (figures.damage, figures.spectrum, figures.estimates):
        draw(measured[-1], out / draw.__name__)
    if len(layers) > 1:
        figures.depth(measured, out / "depth")
    print(table(measured))
    if adapter is not None:
        print(f"SV energy of the adapter: {about['sv_energy']:.4g}")
    print(f"\nResults: {out}")


if __name__ == "__main__":
    app.run(main)
