"""jaxent: what fine-tuning does to concepts inside language models, in JAX.

One legend of axis letters is used in every einsum and shape comment:

    B batch    T query time   S key time    D embed    F mlp
    N heads    K kv heads     H head dim    V vocab    L layer
    R rank     P probes       C concept classes

Three flows run through the package:

    measure   checkpoint.hf.load -> Transformer[NF4] -> measure.capture -> [P, D]
              -> measure -> report
    train     data.corpora -> data.mix -> data.batches
              -> train.step(adapter | frozen base)
    decode    checkpoint.peft -> decode.text
"""

import importlib.util
import os

__version__ = "0.1.0"

# transformers says at its import that it has no models without PyTorch; it is used
# here for tokenizers alone.
if importlib.util.find_spec("torch") is None:
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
