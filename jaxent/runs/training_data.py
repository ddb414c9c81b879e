"""The texts that a run trains on: checked early, then loaded or opened."""

import functools
from typing import Any

import huggingface_hub

from jaxent.data import chat, corpora, own, stream, streamed, tokens
from jaxent.runs import spec as specs

AnyCorpus = corpora.Corpus | streamed.StreamedCorpus


def check_sources(run: specs.RunSpec) -> None:
    """Checks that every source is there and that its first row has the columns.

    Raises:
      FileNotFoundError: a source is missing.
      ValueError: a first row lacks a column, or there is none.
    """
    mixture = run.training_mixture
    for source in run.own_sources:
        _resolve(source)
    own_domains = [source.domain for source in run.own_sources]
    domains = mixture.domains if mixture else ()
    published = [domain for domain in domains if domain not in own_domains]
    corpora.check_sources(published, run.data_root)


def _resolve(source: own.OwnSource) -> own.OwnSource | None:
    """The source with its columns; None where the Hub does not answer now.

    A data set that was read before is in the cache; otherwise loading it fails.
    """
    try:
        return own.resolve(source)
    except FileNotFoundError:
        if source.hub_id:
            return None
        raise


def check_template(run: specs.RunSpec, tokenizer: tokens.Tokenizer) -> None:
    """Checks that conversations can be written, where a source has some.

    Raises:
      ValueError: the tokenizer has no chat template, or it refuses the first one.
    """
    for source in map(_resolve, run.own_sources):
        if source and source.messages_column:
            try:
                first = next(own.read_records(source, 1))
                chat.encode_messages(tokenizer, first, source.loss_on or "all")
            except ValueError as error:
                raise ValueError(f"domain {source.domain}: {error}") from error


def load_corpus(
    run: specs.RunSpec, tokenizer: tokens.Tokenizer, length: int
) -> AnyCorpus:
    """The run's texts; the last few corpora are kept.

    Args:
      run: the run.
      tokenizer: its model's.
      length: tokens an example at most.

    Returns:
      The texts, tokenized or to be streamed.

    Raises:
      FileNotFoundError: a source is missing.
      ValueError: a row is malformed, or nothing is left to train on or to hold out.
    """
    mixture = run.training_mixture
    domains = mixture.domains if mixture else ()
    data = run.data_root, run.max_train_samples, run.own_sources, run.held_out
    try:
        return _load_corpus(run.streaming, domains, tokenizer, length, *data)
    except stream.StreamError as error:
        raise ValueError(str(error)) from error


@functools.lru_cache(maxsize=4)
def _load_corpus(
    streaming, domains, tokenizer, length, root, limit, own_sources, held_out
) -> AnyCorpus:
    if not streaming:
        return corpora.load_corpus(
            domains,
            tokenizer,
            length,
            root,
            limit,
            progress=True,
            own_sources=own_sources,
            held_out=held_out,
        )
    corpus = streamed.open_corpus(
        domains, tokenizer, length, root, limit, own_sources, held_out
    )
    assert set(corpus.hashes)  # every source gives its first window now, or fails
    return corpus


def describe_data(run: specs.RunSpec, corpus: AnyCorpus) -> dict[str, Any]:
    """What a record says of data of one's own.

    Args:
      run: the run.
      corpus: its texts.

    Returns:
      By source: its path, the commit of a data set of the Hub (None where the Hub does
      not say it), and what happened to its records.
    """
    tallies = corpus.tallies
    return {
        source.name: {
            "path": source.path,
            "commit": _hub_commit(source),
            **tallies.get(source.name, {}),
        }
        for source in run.own_sources
    }


def _hub_commit(source: own.OwnSource) -> str | None:
    if not source.hub_id:
        return None
    try:
        api = huggingface_hub.HfApi()
        return api.dataset_info(source.hub_id[0], revision=source.revision).sha
    except Exception:  # no network, or no such thing any more: the cache is used
        return None


def format_tallies(corpus: AnyCorpus) -> str:
    """What happened to the records of data of one's own, a line a source.

    Args:
      corpus: the texts.

    Returns:
      The lines; empty where nothing was left out or cut.

    Example:
      >>> format_tallies(corpora.Corpus({}))
      ''
    """
    said = {
        "empty": "{} without text left out",
        "untrainable": "{} left out because no token counts within --max_length",
        "cut": "{} cut at --max_length",
        "join": "{} with a token across prompt and completion, which counts",
    }
    lines = []
    for name, tally in corpus.tallies.items():
        parts = [
            text.format(tally[key]) for key, text in said.items() if tally.get(key)
        ]
        if parts:
            of = "of the first" if isinstance(corpus, streamed.StreamedCorpus) else "of"
            lines.append(f"{name}: {of} {tally['records']} records {', '.join(parts)}")
    return "\n".join(lines)
