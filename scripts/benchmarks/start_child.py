"""The script of the other stack that the benchmark of starting runs: one QLoRA step.

    python scripts/benchmarks/start_child.py MODEL_FOLDER TEXTS.jsonl MAX_LENGTH

It imports, loads and quantises, encodes one text, trains one step on it and says so.
"""

import json
import sys


def main() -> None:
    """From nothing to the first step."""
    import peft
    import torch
    import transformers

    folder, texts, length = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(texts, encoding="utf-8") as file:
        text = json.JSONDecoder().decode(file.readline())["text"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :length]
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    base = transformers.AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=settings, dtype=torch.float32, device_map="cpu"
    )
    base = peft.prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    config = peft.LoraConfig(
        r=64,
        lora_alpha=128,
        lora_dropout=0.05,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(base, config).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4)
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    print("step", loss.item(), flush=True)


if __name__ == "__main__":
    main()
