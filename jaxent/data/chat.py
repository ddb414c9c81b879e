"""Conversations through a tokenizer's chat template, and which tokens are answers."""

import re
from typing import Any

import jinja2

from jaxent.data import tokens

ASSISTANT = "assistant"
# As transformers looks for them.
_MARKERS = re.compile(r"\{%-?\s*generation\s*-?%\}")


def check_template(tokenizer: tokens.Tokenizer) -> str:
    """The chat template of a tokenizer.

    Args:
        tokenizer: The model's tokenizer.

    Returns:
        The template.

    Raises:
        ValueError: There is none.
    """
    try:
        return tokenizer.fast.get_chat_template()
    except ValueError:
        raise ValueError(
            "the tokenizer has no chat template (chat_template.jinja, or chat_template"
            " in tokenizer_config.json), expected one for a column of messages; use"
            " --prompt_column and --completion_column, or an instruct model"
        ) from None


def has_markers(template: str) -> bool:
    """Whether a template marks the assistant's turns with {% generation %}.

    Args:
        template: A chat template.

    Returns:
        Whether it does.

    Example:
        >>> has_markers("{%- generation %}{{ text }}{% endgeneration %}")
        True
    """
    return bool(_MARKERS.search(template))


def check_messages(value: Any) -> list[dict[str, Any]]:
    """A conversation, keys without a value left out.

    Parquet and the Hub fill the keys that other messages have with None.

    Args:
        value: What a row holds.

    Returns:
        The messages.

    Raises:
        ValueError: It is no list of messages with a role and a text as content.

    Example:
        >>> check_messages([{"role": "user", "content": "Hi", "name": None}])
        [{'role': 'user', 'content': 'Hi'}]
    """
    if not isinstance(value, list) or not value:
        raise ValueError(
            f"holds {value!r:.40}, expected a list of messages, each with role and"
            " content"
        )
    messages = []
    for number, message in enumerate(value, 1):
        message = message if isinstance(message, dict) else {}
        for key in ("role", "content"):
            if not isinstance(message.get(key), str):
                raise ValueError(
                    f"message {number}: {key} is {message.get(key)!r:.40} (found"
                    f" {', '.join(message) or 'no keys'}), expected text in role and"
                    " content"
                )
        messages.append({k: v for k, v in message.items() if v is not None})
    return messages


def encode_messages(
    tokenizer: tokens.Tokenizer,
    messages: list[dict[str, Any]],
    loss_on: str = "completion",
) -> tuple[list[int], list[bool]]:
    """The token ids of a conversation, and which of them the loss counts.

    The template writes every special token; the tokenizer adds none. A turn of the
    assistant is what the template marks with {% generation %}; without marks, it is
    what follows the generation prompt, up to the next turn. Where no end token follows
    the last turn, eos is appended and counts.

    Args:
        tokenizer: A tokenizer with a chat template.
        messages: The conversation.
        loss_on: "all", or "completion" for the assistant's turns alone.

    Returns:
        The ids, and a flag an id.

    Raises:
        ValueError: The template refuses the conversation, or rewrites earlier turns
            without marking the assistant's.
    """
    marked = has_markers(check_template(tokenizer))
    try:
        text = _render(tokenizer, messages)
        encoded = tokenizer.fast(
            text, add_special_tokens=False, return_offsets_mapping=True
        )
        ids = list(encoded["input_ids"])
        spans = encoded["offset_mapping"]
        if loss_on == "all":
            answers = [True] * len(ids)
        elif marked:
            answers = _marked_answers(tokenizer, messages)
        else:
            turns = _assistant_turns(tokenizer, messages, text)
            answers = [
                any(end > first and start < last for first, last in turns)
                for start, end in spans
            ]
    except (jinja2.TemplateError, TypeError) as error:
        raise ValueError(f"the chat template refuses it: {error}") from error
    if _lacks_end(tokenizer, messages, text, ids, spans):
        return [*ids, tokenizer.eos_id], [*answers, True]
    return ids, answers


def _render(
    tokenizer: tokens.Tokenizer, messages: list[dict[str, Any]], prompt: bool = False
) -> str:
    """A conversation as text, with or without the prompt of an answer after it."""
    text = tokenizer.fast.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=prompt
    )
    assert isinstance(text, str)  # one conversation goes in
    return text


def _marked_answers(
    tokenizer: tokens.Tokenizer, messages: list[dict[str, Any]]
) -> list[bool]:
    encoded: Any = tokenizer.fast.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    return [bool(flag) for flag in encoded["assistant_masks"]]


def _assistant_turns(
    tokenizer: tokens.Tokenizer, messages: list[dict[str, Any]], text: str
) -> list[tuple[int, int]]:
    """Where the assistant's turns are in a conversation's text, from its prefixes."""
    turns = []
    for number, message in enumerate(messages):
        if message["role"] != ASSISTANT:
            continue
        before = _render(tokenizer, messages[:number], True) if number else ""
        until = _render(tokenizer, messages[: number + 1])
        if not (number and until.startswith(before) and text.startswith(until)):
            raise ValueError(
                f"message {number + 1}: the chat template does not write the"
                " conversation up to here as it begins the whole of it, so that the"
                " assistant's tokens cannot be told; expected a template with"
                " {% generation %}, or --loss_on=all"
            )
        turns.append((len(before), len(until)))
    return turns


def _lacks_end(
    tokenizer: tokens.Tokenizer,
    messages: list[dict[str, Any]],
    text: str,
    ids: list[int],
    spans: list[tuple[int, int]],
) -> bool:
    """Whether no token that ends a generation follows an assistant's last turn."""
    if messages[-1]["role"] != ASSISTANT:
        return False
    content = messages[-1]["content"].strip()
    behind = text.rfind(content) + len(content)
    after = {token for token, (_, end) in zip(ids, spans) if end > behind}
    return not after & set(tokenizer.eos_ids)
