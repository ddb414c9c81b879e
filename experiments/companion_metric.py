"""A companion domain on two axes, before any training on it: crosstalk with the target (interference) and transfer to it.

    python experiments/companion_metric.py
    python experiments/companion_metric.py --preset=tiny --check --seeds=0,1,2

What the paper's conclusion asks for, after creative writing (lowest crosstalk, worst coding) falsified crosstalk alone; it has
no published numbers but Table 8's crosstalk (creative .0015, math .088, NL not measured) and Table 9's order (math, creative, NL).
Crosstalk is of the starts of training texts, so that natural language has one too. Transfer is the cosine between companion and target
gradients of the initial adapter (corrected for their noise), and the fall of the target's held-out loss after a few
steps on the companion alone. --check trains B1 and the companions' conditions (B2 math, B3 natural, B6 creative) and says
whether the axes order the rise of held-out code loss; three companions are ordered rightly by chance once in six times.
One GPU with 16 GB for Qwen2.5-Coder-7B (about 10 GiB), about as long as 220 training steps a seed (reckoned, not run).
Writes table.txt, study.json and the map (map-<model>.png, .svg) to runs/companion_metric, runs of --check to runs/<model>.
"""

import dataclasses
import pathlib
import sys

import numpy as np
import study_flags
from absl import app, flags, logging

from jaxent.checkpoint import peft
from jaxent.data import corpora, mix
from jaxent.measure import concepts
from jaxent.report import figures, paper, tables
from jaxent.study import execute, prepare, questions, spec as specs, study, transfer

FLAGS = flags.FLAGS
flags.DEFINE_enum("target", "code", mix.DOMAINS, "domain that is to be kept or gained")
flags.DEFINE_list("companions", None, "domains to rank (default: all others)")
flags.DEFINE_integer("batches", 16, "optimizer steps' worth of examples in a gradient")
flags.DEFINE_integer("few_steps", 20, "steps on a companion alone")
flags.DEFINE_integer("held_out", 96, "held-out texts of the target")
flags.DEFINE_bool("check", False, "train the conditions and compare (target code only)")
flags.adopt_module_key_flags(study_flags)
CONDITIONS = {"math": "B2", "natural": "B3", "creative": "B6"}


def trained(model: str, seeds, companions) -> list[specs.Run]:
    """What --check trains."""
    conditions = ["B1", *(CONDITIONS[c] for c in companions)] if FLAGS.check else []
    return [r for c in conditions for r in questions.runs(model, c, "strong", seeds, study_flags.settings())]


def examined(model: str, seeds, companions, out: pathlib.Path) -> dict:
    """A model's axes, and with --check what the conditions did to its held-out loss."""
    run = specs.Run(model, **study_flags.settings())
    outcomes = study.conduct(trained(model, seeds, companions), out)
    checked = prepare.check(run)
    domains = (FLAGS.target, *companions)
    corpora.check(domains, run.data_root)
    base, where = execute.Base(checked), (checked.length, run.data_root, run.max_examples)
    rows = transfer.held_out(FLAGS.target, base.tokenizer, *where, FLAGS.held_out)
    corpus = corpora.load(domains, base.tokenizer, *where, progress=True)
    bench = transfer.Bench(base, run, corpus, checked.length, rows)
    axes = transfer.measure(bench, FLAGS.target, companions, seeds, FLAGS.batches, FLAGS.few_steps)
    before = transfer.loss(base, rows)
    worse = {o.run.condition: [] for o in outcomes}
    for o in outcomes:
        if o.state != "failed":
            adapter, spec = peft.load(str(o.folder / "adapter"), base.model.config)
            worse[o.run.condition].append(transfer.loss(base, rows, adapter, spec) - before)
    return {"axes": axes, "scores": transfer.scores(axes, companions), "before": before, "worse": worse, "outcomes": outcomes}


def spread(values) -> str:
    if None in values or not values:
        return "-"
    return f"{np.mean(values):.3g}" + (f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else "")


def text(model: str, found: dict, companions) -> str:
    """Axes, then ranks (1 is best), then what was measured and how each predictor ordered it."""
    axes, scores, worse = found["axes"], found["scores"], found["worse"]
    rank = lambda values, c: 1 + sum(v > values[c] for v in values.values())
    drawn = [[d, f"{a.ct:.3f}" if d in companions else "-", *map(spread, (a.cosine, a.alignment, a.drop))] for d, a in axes.items()]
    parts = [
        f"{pathlib.Path(model).name}: held-out {FLAGS.target} loss {found['before']:.3f} nats a token; last row: the target itself",
        tables.text(["companion", "crosstalk", "cosine", "alignment", f"drop in {FLAGS.few_steps} steps"], drawn),
        tables.text(["rank", *scores], [[c, *(rank(v, c) for v in scores.values())] for c in companions]),
    ]
    if worse:
        parts.append(tables.text(["condition", "change of held-out loss"], [[c, spread(v)] for c, v in worse.items()]))
        measured = {c: worse[CONDITIONS[c]] for c in companions}
        if len({len(v) for v in measured.values()}) == 1 and all(measured.values()):
            found["judged"] = {name: transfer.judged(predicted, measured) for name, predicted in scores.items()}
            parts += verdict(found["judged"])
    return "\n\n".join(parts)


def verdict(judged: dict) -> list[str]:
    header = ["predictor", "pairs in order", "of those all seeds agree on", "Spearman's rho", "p"]
    of = lambda j, name: f"{j[f'{name}right']} of {j[f'{name}pairs']}"
    lines = [[name, of(j, ""), of(j, "clear_"), j["rho"], j["p"]] for name, j in judged.items()]
    both, one = judged["two axes"], judged["crosstalk"]
    word = "better" if both["right"] > one["right"] else "worse" if both["right"] < one["right"] else "no difference"
    return [
        tables.text(header, lines),
        f"Two axes order {both['right']} of {both['pairs']} pairs rightly, crosstalk alone {one['right']}: {word}. "
        "Three companions cannot decide it: any order is right by chance once in six times.",
    ]


def draw(axes: dict, companions, stem: pathlib.Path) -> None:
    """Crosstalk across, both measures of transfer up: a good companion is at the upper left."""
    drawn, (panels,) = figures.figure(1, 2, width=4.4, height=3.6)
    labels = {"alignment": "gradient alignment with the target", "drop": "drop of the target's held-out loss (nats)"}
    for panel, (name, label) in zip(panels, labels.items()):
        for color, c in zip(figures.COLORS, companions):
            values = [v for v in getattr(axes[c], name) if v is not None]
            if values:
                sd = np.std(values, ddof=1) if len(values) > 1 else 0
                panel.errorbar(axes[c].ct, np.mean(values), sd, fmt="o", color=color, capsize=3)
                panel.annotate(c, (axes[c].ct, np.mean(values)), (6, 5), textcoords="offset points", color=color)
        panel.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        panel.margins(x=0.25, y=0.2)
        panel.set_xlabel("crosstalk with the target (interference)")
        panel.set_ylabel(label)
    panels[0].set_title("Companions (± SD over seeds): upper left is best")
    figures.save(drawn, stem)


def main(_):
    logging.set_verbosity(logging.WARNING)
    out, seeds = pathlib.Path(FLAGS.out), study_flags.seeds([0, 1, 2])
    companions = FLAGS.companions or [d for d in mix.DOMAINS if d != FLAGS.target]
    models, parts, outcomes, kept = study_flags.models([paper.HUB[paper.QWEN_7B]]), [], [], {}
    try:
        if wrong := [c for c in companions if c not in mix.DOMAINS or c == FLAGS.target]:
            raise ValueError(f"--companions {wrong[0]}: expected domains other than the target, of {', '.join(mix.DOMAINS)}")
        if FLAGS.check and FLAGS.target != "code":
            raise ValueError(f"--check with --target {FLAGS.target}: expected code, the conditions' own target")
        if FLAGS.dry_run:
            print(study.plan([r for m in models for r in trained(m, seeds, companions)], out, FLAGS.teraflops))
            return
        (out / "companion_metric").mkdir(parents=True, exist_ok=True)
        for model in models:
            found = examined(model, seeds, companions, out)
            parts.append(text(model, found, companions))
            draw(found["axes"], companions, out / "companion_metric" / f"map-{pathlib.Path(model).name.lower()}")
            outcomes += found.pop("outcomes")
            kept[model] = found | {"axes": {d: dataclasses.asdict(a) for d, a in found["axes"].items()}}
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        sys.exit(f"companion_metric: {error}")
    whole = "\n\n\n".join(parts)
    folder = study.record("companion_metric", outcomes, whole, out, {"metric": concepts.plain(kept)})
    print(f"\n{whole}\n\nResults: {folder}")
    if failed := study.failures(outcomes):
        sys.exit(f"\n{failed}")


if __name__ == "__main__":
    app.run(main)
