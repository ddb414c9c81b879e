"""Which keys of a config.json are read, change nothing, or must have one value.

transformers drops a key that the model's class does not know. Here such a key is
refused, because remote code may have given it a meaning, unless it says that something
is off: false, null or empty.
"""

from typing import Any

READ = frozenset(
    [
        "attention_bias",
        "bos_token_id",
        "eos_token_id",
        "head_dim",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "layer_types",
        "max_position_embeddings",
        "max_window_layers",
        "mlp_bias",
        "model_type",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "original_max_position_embeddings",
        "pad_token_id",
        "quantization_config",
        "rms_norm_eps",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "sliding_window",
        "tie_word_embeddings",
        "use_sliding_window",
        "vocab_size",
    ]
)
"""What `config.from_dict` and `checkpoint.quantization` read."""

_BOOKKEEPING = frozenset(
    [
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_attn_implementation_internal",
        "_commit_hash",
        "_experts_implementation",
        "_experts_implementation_internal",
        "_flash_attn_2_enabled",
        "_from_model_config",
        "_name_or_path",
        "_pre_quantization_dtype",
        "architectures",
        "attn_implementation",
        "auto_map",
        "custom_pipelines",
        "dtype",
        "experts_implementation",
        "finetuning_task",
        "id2label",
        "is_decoder",
        "is_llama_config",
        "keys_to_ignore_at_inference",
        "label2id",
        "model_max_length",
        "model_name",
        "name_or_path",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "prefix",
        "pretraining_tp",
        "problem_type",
        "return_dict",
        "task_specific_params",
        "tf_legacy_loss",
        "tokenizer_class",
        "tokenizer_model_max_length",
        "tokenizer_padding_side",
        "torch_dtype",
        "torchscript",
        "transformers.js_config",
        "transformers_version",
        "unsloth_fixed",
        "unsloth_version",
        "use_bfloat16",
        "use_cache",
        "use_return_dict",
    ]
)
_TRAINING = frozenset(
    [
        "chunk_size_feed_forward",
        "gradient_checkpointing",
        "initializer_factor",
        "initializer_range",
        "neftune_noise_alpha",
    ]
)
# transformers takes these out of config.json as well: how texts are generated is no
# matter of the model.
_GENERATION = frozenset(
    [
        "assistant_confidence_threshold",
        "assistant_early_exit",
        "assistant_lookbehind",
        "bad_words_ids",
        "begin_suppress_tokens",
        "cache_config",
        "cache_implementation",
        "constraints",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "encoder_repetition_penalty",
        "epsilon_cutoff",
        "eta_cutoff",
        "exponential_decay_length_penalty",
        "force_words_ids",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "guidance_scale",
        "length_penalty",
        "low_memory",
        "max_length",
        "max_matching_ngram_size",
        "max_new_tokens",
        "max_time",
        "min_length",
        "min_new_tokens",
        "min_p",
        "no_repeat_ngram_size",
        "num_assistant_tokens",
        "num_assistant_tokens_schedule",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_logits",
        "output_scores",
        "penalty_alpha",
        "prompt_lookup_num_tokens",
        "remove_invalid_values",
        "renormalize_logits",
        "repetition_penalty",
        "return_dict_in_generate",
        "sequence_bias",
        "stop_strings",
        "suppress_tokens",
        "target_lookbehind",
        "temperature",
        "token_healing",
        "top_h",
        "top_k",
        "top_p",
        "typical_p",
        "watermarking_config",
    ]
)
_HARMLESS = _BOOKKEEPING | _TRAINING | _GENERATION

# What a key must say for the model to be one that is computed here.
_EXPECTED: dict[str, tuple[Any, ...]] = {
    # transformers drops attention weights in training, which is not done here.
    "attention_dropout": (0,),
    "attention_multiplier": (1,),
    "embedding_multiplier": (1,),
    "hidden_act": ("silu", "swish"),
    "is_causal": (True,),
    "logit_scale": (1,),
    "logits_scaling": (1,),
    "mlp_bias": (),
    "num_experts": (0,),
    "partial_rotary_factor": (1,),
    "residual_multiplier": (1,),
    # hidden_states[-1] would be taken before the final norm.
    "tie_last_hidden_states": (True, None),
    # Another file than model.safetensors would hold the weights.
    "transformers_weights": ("model.safetensors",),
}
# False is no way to say that these are off.
_NOT_OFF = frozenset(["is_causal", "tie_last_hidden_states"])

_NEEDED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)
# Qwen3's defaults of these do not follow from its other keys.
_NEEDED_BY_QWEN3 = ("num_key_value_heads", "head_dim")


def check_keys(raw: dict, family: str, source: str) -> None:
    """Checks that every key is one that this package reads, or that changes nothing.

    Args:
        raw: a configuration dictionary of Hugging Face.
        family: its model_type.
        source: what errors call it.

    Raises:
        ValueError: a key is unknown, has an unsupported value, or is missing.

    Example:
        >>> check_keys({"use_mrope": True}, "qwen2", "config.json")
        Traceback (most recent call last):
        ValueError: config.json: unknown key 'use_mrope' = True; refusing to guess what\
 it changes
    """
    expected = dict(_EXPECTED)
    if family != "qwen2":  # whose class has biases whatever the key says
        expected["attention_bias"] = ()
    for key, values in sorted(expected.items()):
        _expect(raw, key, values, source)
    for key in sorted(set(raw) - READ - _HARMLESS - set(expected)):
        if not (_is_off(raw[key]) or key.endswith("_token_id")):
            raise ValueError(
                f"{source}: unknown key {key!r} = {raw[key]!r}; refusing to guess what "
                "it changes"
            )
    needed = _NEEDED + (_NEEDED_BY_QWEN3 if family == "qwen3" else ())
    for key in needed:
        if raw.get(key) is None:
            raise ValueError(f"{source}: key {key!r} is missing")


def _expect(raw: dict, key: str, values: tuple[Any, ...], source: str) -> None:
    """Checks that a key has one of the values, says that it is off, or is absent."""
    if key not in raw or raw[key] in values:
        return
    if _is_off(raw[key]) and key not in _NOT_OFF:
        return
    wanted = " or ".join(repr(value) for value in values or (False,))
    raise ValueError(f"{source}: {key} {raw[key]!r}, expected {wanted}")


def _is_off(value: Any) -> bool:
    """Whether a value says that something is absent; 0 is a number like any other."""
    return value is None or value is False or value in ("", [], {})
