"""The other side of benchmarks: transformers, PEFT and bitsandbytes as people run them.

Everything is float32 on the CPU, on as many threads as there are cores. Only functions
that a peer's row calls import anything of it.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmarks import results
from jaxent.runs import spec as specs


def _torch():
    """PyTorch and transformers, told to use every core and to say less."""
    import torch
    import transformers

    torch.set_num_threads(results.usable_cores())
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers


def load_dense(folder: str):
    """The model in float32, in evaluation mode."""
    torch, transformers = _torch()
    load = transformers.AutoModelForCausalLM.from_pretrained
    return load(folder, dtype=torch.float32).eval()


def load_nf4(folder: str):
    """The model with NF4 weights of bitsandbytes, double quantisation, float32."""
    torch, transformers = _torch()
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    load = transformers.AutoModelForCausalLM.from_pretrained
    return load(
        folder, quantization_config=settings, dtype=torch.float32, device_map="cpu"
    )


class QLoRA:
    """A QLoRA run of PEFT that trains one example at a time and accumulates.

    Nothing is padded. Loss, clipping, AdamW and schedule are the Trainer's.

    Args:
      folder: the base.
      run: rank, modules, dropout and the optimizer's constants.
      checkpointing: whether activations are recomputed, the default of PEFT's
        `prepare_model_for_kbit_training`.
    """

    def __init__(self, folder: str, run: specs.RunSpec, checkpointing: bool):
        torch, transformers = _torch()
        import peft

        base = peft.prepare_model_for_kbit_training(
            load_nf4(folder), use_gradient_checkpointing=checkpointing
        )
        base.config.use_cache = False
        config = peft.LoraConfig(
            r=run.lora_r,
            lora_alpha=run.lora_alpha,
            lora_dropout=run.lora_dropout,
            target_modules=list(run.lora_target_modules),
            task_type="CAUSAL_LM",
        )
        self.model = peft.get_peft_model(base, config).train()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        plan = run.train_config
        self.clip = plan.clip
        self.adam = torch.optim.AdamW(
            self.trained, plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.rate = transformers.get_cosine_schedule_with_warmup(
            self.adam, plan.warmup_steps, plan.steps
        )

    def train(self, examples: Iterable[np.ndarray]) -> float:
        """One optimizer step; the loss in nats a token."""
        torch, _ = _torch()
        rows = [torch.tensor(np.asarray(e, np.int64))[None] for e in examples]
        count = sum(row.shape[1] - 1 for row in rows)
        total = 0.0
        for row in rows:
            out = self.model(input_ids=row, labels=row, num_items_in_batch=count)
            out.loss.backward()
            total += out.loss.item()
        torch.nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.adam.step()
        self.rate.step()
        self.adam.zero_grad()
        return total


def both_settings(
    folder: str, run: specs.RunSpec, groups: Sequence[Sequence[np.ndarray]]
) -> dict[str, Callable[[], None]]:
    """Training with and without gradient checkpointing, by name.

    Args:
      folder: the base.
      run: the run's settings.
      groups: the examples of every optimizer step.
    """
    named = {}
    for title, checkpointing in (
        ("PEFT, gradient checkpointing", True),
        ("PEFT, no checkpointing", False),
    ):
        peer = QLoRA(folder, run, checkpointing)
        named[title] = _trainer(peer, groups)
    return named


def _trainer(peer: QLoRA, groups) -> Callable[[], None]:
    def train() -> None:
        for examples in groups:
            peer.train(examples)

    return train


def left_padded(prompts: Sequence[Sequence[int]]):
    """Tokens and mask [B, T] of prompts, as generate wants them."""
    torch, _ = _torch()
    width = max(map(len, prompts))
    ids = [[0] * (width - len(p)) + list(p) for p in prompts]
    mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def generate(
    model, prompts: Sequence[Sequence[int]], new: int, **options
) -> list[list[int]]:
    """The new tokens of every prompt, greedy, all prompts together.

    Args:
      model: of transformers.
      prompts: token ids of each.
      new: new tokens of each at most.
      **options: more of `generate`'s, such as stop_strings.
    """
    torch, _ = _torch()
    ids, mask = left_padded(prompts)
    if "eos_token_id" not in options:
        model.generation_config.eos_token_id = None
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=new,
            pad_token_id=0,
            **options,
        )
    return out[:, ids.shape[1] :].tolist()


def by_length(
    examples: Sequence[Sequence[int]], tokens: int
) -> list[list[Sequence[int]]]:
    """Batches of examples of like length, of so many padded tokens at most.

    Example:
      >>> by_length([[1], [1, 2, 3], [1, 2]], tokens=4)
      [[[1], [1, 2]], [[1, 2, 3]]]
    """
    found: list[list[Sequence[int]]] = []
    for example in sorted(examples, key=len):
        if found and (len(found[-1]) + 1) * len(example) <= tokens:
            found[-1].append(example)
        else:
            found.append([example])
    return found


def next_tokens(model, prompts: Sequence[Sequence[int]], tokens: int) -> None:
    """Prompts to caches and first new tokens, in batches of like length."""
    torch, _ = _torch()
    with torch.inference_mode():
        for batch in by_length(prompts, tokens):
            ids, mask = left_padded(batch)
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            out = model(
                ids,
                attention_mask=mask,
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,
            )
            out.logits[:, -1].argmax(-1)


def mean_states(model, examples: Sequence[Sequence[int]], tokens: int) -> np.ndarray:
    """Last hidden states pooled over each example's tokens, shortest example first."""
    torch, _ = _torch()
    pooled = []
    with torch.inference_mode():
        for batch in by_length(examples, tokens):
            width = max(map(len, batch))
            ids = torch.tensor([list(e) + [0] * (width - len(e)) for e in batch])
            mask = torch.tensor([[1] * len(e) + [0] * (width - len(e)) for e in batch])
            out = model.model(ids, attention_mask=mask, use_cache=False)
            weights = mask[..., None].float()
            total = (out.last_hidden_state * weights).sum(1)
            pooled.append((total / weights.sum(1)).numpy())
    return np.concatenate(pooled)
