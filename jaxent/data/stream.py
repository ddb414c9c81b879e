"""Examples that are read as training goes, for data that does not fit the disk.

A stream is a sequence that every process and every resumed run reads alike: rows in
their order, in windows that are shuffled by the seed. Which example a step trains on is
a pure function of (seed, step) and the rows. A resumed run reads the stream from its
start to where it was, and trains on none of it twice.
"""

import collections
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jaxent.data import examples, holdout, mix, tokenized

WINDOW = 1024  # examples that are shuffled together, and in memory
_RECORDS_AT_A_TIME = 256


class StreamError(RuntimeError):
    """A stream broke off, or a row of it is malformed, as a run was training."""


class Stream:
    """The examples of one source, epoch after epoch.

    Attributes:
        name: The source's name.
        tally: What happened to the records that were read so far.

    Args:
        name: The source's name.
        read: Opens the records from the start.
        encoder: How they become examples.
        config: What is held out, and not part of the stream; None: nothing is.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterator[Any]],
        encoder: examples.Encoder,
        config: holdout.HoldoutConfig | None = None,
    ):
        self.name = name
        self.tally: collections.Counter = collections.Counter()
        self._read, self._encoder, self._config = read, encoder, config
        self._restart()

    @property
    def hash(self) -> str:
        """A hash of the first window, and of how records become examples."""
        self._seek(0)
        digest = tokenized.records_digest(self._encoder)
        for example in self._window:
            digest.update(hashlib.sha256(example.ids.tobytes()).digest())
            digest.update(example.counted.tobytes())
        return digest.hexdigest()[:16]

    def example(self, seed: int, turn: int) -> examples.Example:
        """The example of the source's turn.

        Args:
            seed: The run's seed, which orders each window.
            turn: How many examples of the source were drawn before.

        Returns:
            The example.

        Raises:
            StreamError: The rows could not be read, or none can be trained on.
        """
        self._seek(turn)
        size = len(self._window)
        order = mix.permutation(seed, f"{self.name} window", self._number, size)
        return self._window[order[turn - self._start]]

    def held_out(self, number: int) -> list[examples.Example]:
        """The first held-out examples of the source.

        Args:
            number: How many at most.

        Returns:
            The examples, in their order.
        """
        assert self._config is not None, "nothing is held out"
        pairs = self._encode_once()
        kept = (example for example, is_held_out in pairs if is_held_out)
        return list(itertools.islice(kept, number))

    def _restart(self) -> None:
        self._epoch = self._training_examples()
        self._window: list[examples.Example] = []
        self._start, self._number = 0, -1

    def _seek(self, turn: int) -> None:
        """Reads on, or again from the start, to the window of a turn."""
        if turn < self._start:
            self._restart()
        while turn >= self._start + len(self._window):
            self._start += len(self._window)
            self._number += 1
            self._window = self._next_window()

    def _next_window(self) -> list[examples.Example]:
        window = list(itertools.islice(self._epoch, WINDOW))
        if not window:  # the epoch has ended
            self._epoch = self._training_examples()
            window = list(itertools.islice(self._epoch, WINDOW))
        if not window:
            raise StreamError(
                tokenized.nothing_to_train_on(self.name, self.tally, self._encoder)
            )
        return window

    def _training_examples(self) -> Iterator[examples.Example]:
        return (
            example for example, is_held_out in self._encode_once() if not is_held_out
        )

    def _encode_once(self) -> Iterator[tuple[examples.Example, bool]]:
        """The examples of one epoch, and whether each is held out."""
        tally: collections.Counter = collections.Counter()
        records = self._records()
        while some := list(itertools.islice(records, _RECORDS_AT_A_TIME)):
            encoded, counts = self._encode(some)
            tally += counts
            self.tally = max(self.tally, tally, key=_number_of_records)
            flags: Sequence[bool] = [False] * len(encoded)
            if self._config is not None:
                found = holdout.positions(
                    self._encoder.tokenizer, [example.ids for example in encoded]
                )
                flags = [bool(p < self._config.share) for p in found]
            yield from zip(encoded, flags)

    def _records(self) -> Iterator[Any]:
        try:
            yield from self._read()
        except (ValueError, OSError) as error:
            raise StreamError(f"{self.name}: {error}") from error

    def _encode(self, records: list) -> tuple[list[examples.Example], Any]:
        try:
            return self._encoder.encode(records)
        except ValueError as error:
            raise StreamError(f"{self.name}: {error}") from error


def _number_of_records(tally: collections.Counter) -> int:
    return tally["records"]


def draw(
    mixture: mix.Mixture,
    streams: dict[str, dict[str, Stream]],
    seed: int,
    step: int,
    number: int,
) -> list[examples.Example]:
    """The examples of one step.

    Args:
        mixture: What share each domain has.
        streams: {domain: {source: its stream}}; a domain's sources take turns.
        seed: The run's seed.
        step: The optimizer step, from 0.
        number: Examples a step.

    Returns:
        The examples.
    """
    drawn = []
    for domain, turns in mix.draw_slots(mixture, seed, step, number):
        turn, which = divmod(turns, len(streams[domain]))
        drawn.append(list(streams[domain].values())[which].example(seed, turn))
    return drawn
