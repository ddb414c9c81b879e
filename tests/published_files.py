"""Keys of files of published models, and how transformers resolves a config.json.

`published_files.json` has the config.json of 27 models, of 4 that must be refused, and
some of their other files, as public repositories and issues quote them.
"""

import copy
import json
import pathlib

import transformers

FILES = json.loads(
    pathlib.Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)


def resolve(raw: dict) -> dict:
    """The fields of `model.config.Config` as transformers' own class has them."""
    raw = copy.deepcopy(raw)
    family = raw.pop("model_type")
    own = "ministral" if family == "mistral" and "layer_types" in raw else family
    theirs = transformers.AutoConfig.for_model(own, **raw)
    theirs.standardize_rope_params()  # as the model does when it is built
    rope = theirs.rope_parameters
    kinds = getattr(theirs, "layer_types", None)
    window = getattr(theirs, "sliding_window", None) if family != "llama" else None
    if kinds is not None and family != "llama":
        windows = {window if "sliding" in kind else None for kind in kinds}
        [window] = windows
    heads = theirs.num_attention_heads
    return {
        "vocab": theirs.vocab_size,
        "embed": theirs.hidden_size,
        "mlp": theirs.intermediate_size,
        "layers": theirs.num_hidden_layers,
        "heads": heads,
        "kv_heads": theirs.num_key_value_heads,
        "head_dim": getattr(theirs, "head_dim", None) or theirs.hidden_size // heads,
        "context": theirs.max_position_embeddings,
        "norm_eps": theirs.rms_norm_eps,
        "tied": theirs.tie_word_embeddings,
        "window": window,
        "theta": rope["rope_theta"],
        "factor": 1.0 if rope["rope_type"] == "default" else rope["factor"],
        "trained": rope.get("original_max_position_embeddings")
        if rope["rope_type"] == "llama3"
        else None,
    }
