"""What a model reads of a problem: the bare prompt, or EvalPlus's chat form of it."""

import dataclasses
import pathlib

from jaxent.data import tokens
from jaxent.evaluate import benchmarks

FORMATS = ("raw", "chat")

INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem "
    "in a markdown code block:"
)
"""What EvalPlus says before the problem."""
RESPONSE = (
    "Below is a Python script with a self-contained function that solves the problem "
    "and passes corresponding tests:"
)
"""What EvalPlus lets the answer begin with, before a code fence."""

_FENCE = "```python\n"
_CHAT_STOPS = (*benchmarks.GENERAL_STOPS, "\n```\n")


@dataclasses.dataclass(frozen=True)
class Prompts:
    r"""How problems are put to a model.

    Attributes:
        benchmark: Whose problems they are.
        tokenizer: The model's tokenizer.
        template: The chat template, as Jinja; None puts the bare prompts.

    Example:
        >>> import jaxent
        >>> folder = f"{jaxent.__path__[0]}/data/checkpoints/tiny-small"
        >>> prompts = Prompts(benchmarks.HUMANEVAL, tokens.load_tokenizer(folder))
        >>> problem = benchmarks.Problem("A/0", "def one():\n", "one", "    return 1")
        >>> prompts.write(problem)
        'def one():\n'
        >>> prompts.tokenizer.decode(prompts.encode(problem))
        'def one():\n'
    """

    benchmark: benchmarks.Benchmark
    tokenizer: tokens.Tokenizer
    template: str | None = None

    @property
    def is_chat(self) -> bool:
        """Whether the model is asked in a chat."""
        return self.template is not None

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end an answer, as in EvalPlus."""
        return _CHAT_STOPS if self.is_chat else self.benchmark.stops

    def write(self, problem: benchmarks.Problem) -> str:
        """The text that the model continues.

        Args:
            problem: The task.

        Returns:
            The prompt; in a chat EvalPlus's instruction, the prompt in a code fence,
            and the answer begun with a code fence.

        Raises:
            ValueError: If the chat template fails, or leaves the answer's begin out.
        """
        if self.template is None:
            return problem.prompt
        return _write_chat(self.tokenizer, self.template, problem.prompt)

    def encode(self, problem: benchmarks.Problem) -> list[int]:
        """The token ids of `write`."""
        return encode_text(self.tokenizer, self.write(problem))

    def write_before_solution(self, problem: benchmarks.Problem) -> str:
        """The text that the canonical solution follows.

        In a chat the answer is a whole program: there the solution follows the prompt
        as the beginning of the answer.
        """
        beginning = problem.prompt if self.is_chat else ""
        return self.write(problem) + beginning

    def encode_before_solution(self, problem: benchmarks.Problem) -> list[int]:
        """The token ids of `write_before_solution`."""
        return encode_text(self.tokenizer, self.write_before_solution(problem))


def encode_text(tokenizer: tokens.Tokenizer, text: str) -> list[int]:
    """The ids of a text that a model is to continue.

    It begins with the tokenizer's bos token once, whether the tokenizer adds that or a
    chat template has written it, and no eos token ends it. (EvalPlus 0.3.1 gives a
    model two bos tokens where both do.)

    Args:
        tokenizer: The tokenizer.
        text: The text.

    Returns:
        The ids.
    """
    ids = tokenizer.fast(text, add_special_tokens=False)["input_ids"]
    if tokenizer.bos_id is None or ids[:1] == [tokenizer.bos_id]:
        return ids
    return [tokenizer.bos_id, *ids]


def find_template(tokenizer: tokens.Tokenizer, folder: pathlib.Path) -> str:
    """The chat template of a checkpoint, as transformers finds it.

    Args:
        tokenizer: The checkpoint's tokenizer.
        folder: Its folder, for the error.

    Returns:
        The template, as Jinja; of several the one named default.

    Raises:
        ValueError: If there is none.
    """
    try:
        return tokenizer.fast.get_chat_template()
    except ValueError:
        raise ValueError(
            f"--prompt_format=chat: {folder} has no chat template, expected "
            "chat_template.jinja or 'chat_template' in tokenizer_config.json, as "
            "instruct models have; --prompt_format=raw needs none"
        ) from None


@dataclasses.dataclass(frozen=True)
class _Templated:
    """What EvalPlus asks of a tokenizer with a chat template."""

    tokenizer: tokens.Tokenizer
    chat_template: str

    def apply_chat_template(self, messages: list[dict], tokenize: bool) -> str:
        """The messages as one text."""
        text = self.tokenizer.fast.apply_chat_template(
            messages, chat_template=self.chat_template, tokenize=tokenize
        )
        assert isinstance(text, str)  # not tokenized
        return text


def _write_chat(tokenizer: tokens.Tokenizer, template: str, prompt: str) -> str:
    """EvalPlus's chat form of a prompt."""
    import jinja2
    from evalplus.provider import utility

    try:
        text = utility.make_raw_chat_prompt(
            prompt, INSTRUCTION, RESPONSE, _Templated(tokenizer, template)
        )
    except jinja2.TemplateError as error:
        raise ValueError(
            f"--prompt_format=chat: the chat template fails on a question and an "
            f"answer ({error})"
        ) from error
    if not text.endswith(_FENCE):
        raise ValueError(
            f"--prompt_format=chat: the chat template ends EvalPlus's prompt with "
            f"{text[-20:]!r}, expected {_FENCE!r}: the answer's begin"
        )
    return text
