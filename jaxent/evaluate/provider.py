"""jaxent's models for people who drive EvalPlus themselves.

    generate = provider.generator(model, tokenizer, adapter=adapter)
    decoder = provider.Decoder(name, generate)
    evalplus.codegen.codegen("samples.jsonl", decoder, "humaneval", greedy=True)

runs EvalPlus's own loop over the problems, one at a time, and writes its files.
"""

from collections.abc import Callable
from typing import Any

from evalplus.provider import base, utility

from jaxent.data import tokens
from jaxent.decode import text
from jaxent.evaluate import benchmarks, sample_files
from jaxent.model import transformer

Generate = Callable[[list[str], tuple[str, ...], int, int, float], list[str]]
"""(prompts, stops, max_new_tokens, n, temperature) -> n completions of each prompt.

Completions of one prompt are together; temperature 0 is greedy.
"""


def generator(
    model: transformer.Transformer, tokenizer: tokens.Tokenizer, **options: Any
) -> Generate:
    """`jaxent.decode.generate` of a model as a `Generate`.

    Args:
        model: The base model.
        tokenizer: Its tokenizer.
        **options: More arguments of `generate`: adapter, compute, top_p, seed.

    Returns:
        A function that `Decoder` takes.
    """

    def run(
        prompts: list[str],
        stops: tuple[str, ...],
        max_new_tokens: int,
        n: int,
        temperature: float,
    ) -> list[str]:
        settings: dict[str, Any] = {
            "stops": stops,
            "samples": n,
            "temperature": temperature,
        }
        settings |= options
        completions = text.generate(
            model, tokenizer, prompts, max_new_tokens, **settings
        )
        return [completion.text for completion in completions]

    return run


class Decoder(base.DecoderBase):
    """An EvalPlus decoder around a `Generate`.

    It completes directly, as EvalPlus does with --force-base-prompt.

    Args:
        name: The model's name in EvalPlus's files.
        generate: What completes the prompts.
        dataset: EvalPlus's name of the data set, which decides on stop strings.
        batch_size: Samples of one problem generated together.
        temperature: Of sampling; 0 is greedy.
        max_new_tokens: Tokens of a completion, at most.

    Example:
        >>> def generate(prompts, stops, max_new_tokens, n, temperature):
        ...     return ["    return 1"] * n
        >>> decoder = Decoder("one", generate)
        Initializing a decoder model: one ...
        >>> decoder.codegen("def one():", do_sample=False)
        ['    return 1']
    """

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
        # A new list: evalplus's decoders say `self.eos += ...`, which would make the
        # list of its module longer for every decoder that follows.
        self.eos = [
            *benchmarks.GENERAL_STOPS,
            *utility.extra_eos_for_direct_completion(dataset),
        ]
        self.generate = generate

    def is_direct_completion(self) -> bool:
        """True: the prompt is completed without a chat template."""
        return True

    def codegen(
        self, prompt: str, do_sample: bool = True, num_samples: int = 200
    ) -> list[str]:
        """Completions of one prompt, cut at the first stop string.

        Args:
            prompt: The text to continue.
            do_sample: Whether to sample; otherwise one greedy completion.
            num_samples: Completions wanted; `batch_size` of them at most are made.

        Returns:
            The completions, without the prompt.

        Raises:
            ValueError: If it should sample at temperature 0.
        """
        if do_sample and not self.temperature:
            raise ValueError(
                f"{self.name}: sampling at temperature 0, expected greedy=True or a "
                "temperature above 0"
            )
        count = min(self.batch_size, num_samples) if do_sample else 1
        temperature = self.temperature if do_sample else 0.0
        stops = tuple(self.eos)
        completions = self.generate(
            [prompt], stops, self.max_new_tokens, count, temperature
        )
        return [sample_files.cut_at_stops(text, stops) for text in completions]
