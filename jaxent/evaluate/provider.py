"""jaxent's models for people who drive EvalPlus themselves.

    decoder = provider.Decoder(name, provider.generator(model, tokenizer, adapter=adapter))
    evalplus.codegen.codegen("samples.jsonl", decoder, "humaneval", greedy=True)

runs EvalPlus's own loop over the problems, one at a time, and writes its files.
"""

from collections.abc import Callable

from evalplus.provider import base, utility

from jaxent.data import tokens
from jaxent.decode import text
from jaxent.evaluate import humaneval
from jaxent.model import transformer

Generate = Callable[[list[str], tuple[str, ...], int, int, float], list[str]]
"""(prompts, stops, max_new_tokens, n, temperature) -> n completions a prompt, prompt by prompt; 0 is greedy."""


def generator(
    model: transformer.Transformer, tokenizer: tokens.Tokenizer, **options
) -> Generate:
    """`jaxent.decode.generate` of a model as a `Generate`; options: its adapter, compute, top_p, seed."""

    def run(prompts, stops, max_new_tokens, n, temperature):
        settings = {"stops": stops, "samples": n, "temperature": temperature} | options
        return [
            c.text
            for c in text.generate(
                model, tokenizer, prompts, max_new_tokens, **settings
            )
        ]

    return run


class Decoder(base.DecoderBase):
    """An EvalPlus decoder around `generate`: direct completion, as with --force-base-prompt."""

    def __init__(
        self,
        name: str,
        generate: Generate,
        dataset: str = "humaneval",
        batch_size: int = 1,
        temperature: float = 0.0,
        max_new_tokens: int = 768,
    ):
        super().__init__(
            name,
            batch_size=batch_size,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
        )
        # A list of our own: evalplus's decoders say `self.eos += ...`, which grows its module list for all that follow.
        self.eos = [
            *humaneval.GENERAL_STOPS,
            *utility.extra_eos_for_direct_completion(dataset),
        ]
        self.generate = generate

    def is_direct_completion(self) -> bool:
        return True

    def codegen(
        self, prompt: str, do_sample: bool = True, num_samples: int = 200
    ) -> list[str]:
        """Up to `batch_size` completions of one prompt, cut at the first stop string."""
        if do_sample and not self.temperature:
            raise ValueError(
                f"{self.name}: sampling at temperature 0, expected greedy=True or a temperature above 0"
            )
        count = min(self.batch_size, num_samples) if do_sample else 1
        temperature = self.temperature if do_sample else 0.0
        texts = self.generate(
            [prompt], tuple(self.eos), self.max_new_tokens, count, temperature
        )
        return [humaneval.cut_at_stops(text, tuple(self.eos)) for text in texts]
