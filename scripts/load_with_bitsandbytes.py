"""A child of benchmark_loading: loads a checkpoint into NF4 with bitsandbytes."""

import bitsandbytes
import timed_load
import torch
import transformers


def load(folder: str) -> int:
    """Loads a model; its bytes, scales included."""
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=settings,
        device_map="cpu",
        dtype=torch.bfloat16,
    )
    assert any(isinstance(m, bitsandbytes.nn.Linear4bit) for m in model.modules())
    tensors = {p.data_ptr(): p for p in [*model.parameters(), *model.buffers()]}
    size = sum(tensor.nbytes for tensor in tensors.values())
    for tensor in tensors.values():
        state = getattr(tensor, "quant_state", None)
        if state is not None:
            size += state.absmax.nbytes + state.state2.absmax.nbytes
    return size


if __name__ == "__main__":
    timed_load.answer(load)
