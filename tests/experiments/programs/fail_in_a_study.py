"""Runs finetune.py, whose second process fails alone at the third step."""

import runpy
import sys

from jaxent.data import corpora
from jaxent.distributed import processes

draw = corpora.Corpus.batch


def batch(self, mixture, seed, index, *rest):
    """A batch, or no memory for it."""
    if index == 2 and not processes.is_primary():
        raise MemoryError("here alone")
    return draw(self, mixture, seed, index, *rest)


corpora.Corpus.batch = batch
script = sys.argv.pop(1)
sys.path.insert(0, script.rpartition("/")[0])
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
