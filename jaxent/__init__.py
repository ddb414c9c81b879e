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

__version__ = "0.1.0"
