"""Records as token ids, and which of them the loss counts.

A record is a text, a (prompt, completion) pair, or a conversation (`chat`).
"""

import collections
import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxent.data import chat, tokens

FORMS = ("text", "pair", "messages")
LOSS_ON = ("all", "completion")


class Example(typing.NamedTuple):
    """One example, at most as long as a row.

    Attributes:
        ids: int32 [n], n >= 2.
        counted: bool [n], the tokens whose prediction the loss counts.
    """

    ids: np.ndarray
    counted: np.ndarray


@dataclasses.dataclass(frozen=True)
class Encoder:
    """How the records of one source become examples.

    Attributes:
        tokenizer: The model's tokenizer.
        length: Tokens an example at most.
        form: "text", "pair" or "messages".
        loss_on: "all" tokens, or those of the "completion" (of a conversation: of its
            assistant's turns) alone.
    """

    tokenizer: tokens.Tokenizer
    length: int
    form: str = "text"
    loss_on: str = "all"

    def encode(
        self, records: Sequence[Any]
    ) -> tuple[list[Example], collections.Counter]:
        """The examples of some records.

        An example has one bos where the tokenizer adds one, and ends with an end token
        that counts. It is cut at `length` tokens. Records without text, and those of
        which the cut leaves nothing to train on, are left out.

        Args:
            records: Texts, (prompt, completion) pairs or lists of messages.

        Returns:
            The examples, and a count of what happened: records, empty (left out),
            untrainable (left out), cut, and join (a token is partly of the prompt and
            partly of the completion; it counts).

        Raises:
            ValueError: The chat template refuses a conversation.

        Example:
            >>> import pathlib
            >>> folder = pathlib.Path(__file__).parent / "checkpoints" / "tiny"
            >>> encoder = Encoder(
            ...     tokens.load_tokenizer(folder), 64, "pair", "completion"
            ... )
            >>> [example], tally = encoder.encode([("2 + 2 =", " 4")])
            >>> encoder.tokenizer.decode(example.ids[example.counted])
            ' 4'
        """
        tally = collections.Counter({"records": len(records)})
        filled = [record for record in records if self._has_text(record)]
        tally["empty"] = len(records) - len(filled)
        if not filled:
            return [], tally
        examples = []
        for ids, counted in self._encode(filled, tally):
            tally["cut"] += len(ids) > self.length
            example = Example(
                np.array(ids[: self.length], np.int32),
                np.array(counted[: self.length], bool),
            )
            if example.counted[1:].any():
                examples.append(example)
            else:
                tally["untrainable"] += 1
        return examples, tally

    def _has_text(self, record: Any) -> bool:
        """Whether there is something to learn: blank texts would teach to stop."""
        if self.form == "text":
            return bool(record.strip())
        if self.form == "pair":
            return bool(record[1].strip())
        return any(message["content"].strip() for message in record)

    def _encode(self, records: list, tally: collections.Counter):
        """(ids, counted) of each record, not cut yet."""
        if self.form == "messages":
            for record in records:
                try:
                    yield chat.encode_messages(self.tokenizer, record, self.loss_on)
                except ValueError as error:
                    begin = record[0]["content"][:40]
                    raise ValueError(
                        f"the conversation that begins {begin!r}: {error}"
                    ) from error
            return
        pairs = records if self.form == "pair" else [("", text) for text in records]
        encoded = self.tokenizer.fast(
            [prompt + completion for prompt, completion in pairs],
            return_attention_mask=False,
            return_offsets_mapping=True,
        )
        for pair, ids, spans in zip(
            pairs, encoded["input_ids"], encoded["offset_mapping"]
        ):
            join = len(pair[0]) if self.loss_on == "completion" else 0
            tally["join"] += any(start < join < end for start, end in spans)
            counted = [end > join for _, end in spans]
            if self.loss_on == "all":
                counted = [True] * len(ids)
            yield self._finish(ids, counted)

    def _finish(
        self, ids: list[int], counted: list[bool]
    ) -> tuple[list[int], list[bool]]:
        """The ids with one bos at most and an eos, which counts."""
        fewer = drop_second_bos(ids, self.tokenizer)
        counted = counted[len(ids) - len(fewer) :]
        ended = end_with_eos(fewer, self.tokenizer)
        counted = [*counted[: len(ended) - 1], True]
        return ended, counted


def drop_second_bos(ids: list[int], tokenizer: tokens.Tokenizer) -> list[int]:
    """The ids with one bos, where a text began with the bos that a tokenizer adds.

    Args:
        ids: A tokenizer's encoding of a text.
        tokenizer: The tokenizer.

    Returns:
        The ids, the first left out where the first two are bos.
    """
    bos = tokenizer.bos_id
    return ids[1:] if bos is not None and ids[:2] == [bos, bos] else ids


def end_with_eos(ids: list[int], tokenizer: tokens.Tokenizer) -> list[int]:
    """The ids with eos at the end, once.

    Args:
        ids: A tokenizer's encoding of a text.
        tokenizer: The tokenizer.

    Returns:
        The ids; eos is appended unless the text or the tokenizer put it there.
    """
    return ids if ids[-1:] == [tokenizer.eos_id] else [*ids, tokenizer.eos_id]
