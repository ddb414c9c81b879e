"""Can the labels of probe texts be read off their length, punctuation or small words?

    python scripts/check_probe_surface.py --sets=triad_v2 --tokenizers=<folder>,...

Five-fold accuracy of domain, register and shape from each tokenizer's number of tokens,
from 17 counts and from function words, beside chance and the bound of `data.surface`;
then TF-IDF of words and of characters, on which no bound is set. Exits with 1 where a
version 2 set, or a file, exceeds a bound.
"""

import pathlib
import sys

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_list("sets", ["triad_v2", "hexad_v2"], "probe sets or JSONL files")
flags.DEFINE_list("tokenizers", [], "folders with a tokenizer.json")
flags.DEFINE_integer("fold_seeds", 1, "shuffles of the folds", lower_bound=1)
flags.DEFINE_integer("worst", 0, "features to list a concept", lower_bound=0)
command.parse(__name__, __doc__)

import numpy as np
import tokenizers

from jaxent.data import probes, surface


def load_tokenizers() -> dict[str, tokenizers.Tokenizer]:
    """Each folder's tokenizer, by the folder's name."""
    loaded = {}
    for folder in map(pathlib.Path, FLAGS.tokenizers):
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise FileNotFoundError(f"--tokenizers {folder}: no tokenizer.json in it")
        loaded[folder.name] = tokenizers.Tokenizer.from_file(str(file))
    return loaded


def print_decoding(texts, encoders) -> None:
    """Accuracy, chance and bound of every bounded decoder."""
    runs = [
        surface.accuracies(texts, encoders, seed) for seed in range(FLAGS.fold_seeds)
    ]
    print(f"{'features':28} {'concept':9} {'accuracy':>8} {'chance':>7} {'bound':>6}")
    for (kind, concept), (accuracy, chance, bound) in runs[0].items():
        row = f"{kind:28} {concept:9} {accuracy:8.3f} {chance:7.3f} {bound:+6.2f}"
        if len(runs) > 1:
            others = [run[kind, concept][0] - chance for run in runs]
            row += (
                f"  above chance, {len(runs)} fold seeds: mean {np.mean(others):+.3f}"
            )
            row += f", most {max(others):+.3f}"
        print(row, flush=True)


def print_baselines(texts) -> None:
    """What TF-IDF decodes: content, on which no bound is set."""
    folds = surface.assign_folds(texts)
    for concept in probes.FACTORS:
        labels = [getattr(probe, concept) for probe in texts]
        for kind in ("words", "characters"):
            accuracy = surface.decode_text([p.text for p in texts], labels, folds, kind)
            print(f"{'tf-idf ' + kind:28} {concept:9} {accuracy:8.3f}", flush=True)


def print_worst(texts) -> None:
    """The counts and function words that separate each concept most."""
    for concept in probes.FACTORS:
        for kind in ("counts", "function_words"):
            for name, ratio, means in surface.worst_features(
                texts, concept, kind, FLAGS.worst
            ):
                row = ", ".join(f"{label} {mean:.2f}" for label, mean in means.items())
                print(f"{concept:9} {name:18} F {ratio:6.1f}  {row}")


def main() -> None:
    """Prints the tables of every set."""
    encoders = load_tokenizers()
    failed = False
    for source in FLAGS.sets:
        probe_set = probes.load_probes(source)
        print(f"\n{source}: {len(probe_set.probes)} texts, {probe_set.hash}")
        print_decoding(probe_set.probes, encoders)
        print_baselines(probe_set.probes)
        print_worst(probe_set.probes)
        found = surface.problems(probe_set.probes, encoders)
        print(f"{len(found)} bounds exceeded", *found, sep="\n  ")
        failed |= bool(found) and source not in ("triad", "hexad")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    command.run(main)
