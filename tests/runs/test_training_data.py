import json
import shutil

import huggingface_hub
import pytest

from jaxent.data import corpora, own, rows, streamed, tokens
from jaxent.runs import spec as specs
from jaxent.runs import training_data

TOKENIZER = tokens.load_tokenizer(specs.TINY_MODEL)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(file, *found):
    file.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(file)


def own_run(path, **settings):
    return specs.RunSpec(specs.TINY_MODEL, "own", dataset=path, **settings)


def test_sources_are_checked_before_they_are_loaded(tmp_path):
    file = write(tmp_path / "own.jsonl", {"body": "a"})
    with pytest.raises(ValueError, match="found the columns body; name those to train"):
        training_data.check_sources(own_run(file))
    training_data.check_sources(own_run(file, text_column="body"))
    mixed = specs.RunSpec(
        specs.TINY_MODEL,
        "own",
        mixture="code:50,law:50",
        domain=[f"law={file},text_column=body"],
        data_root="/nowhere",
    )
    with pytest.raises(FileNotFoundError, match="data root /nowhere: none of code_sea"):
        training_data.check_sources(mixed)


def test_a_chat_template_is_needed_for_messages_alone(tmp_path):
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    file = write(tmp_path / "chat.jsonl", {"messages": messages, "text": "t"})
    training_data.check_template(own_run(file, text_column="text"), TOKENIZER)
    run = own_run(file, messages_column="messages")
    with pytest.raises(ValueError, match="domain own: the tokenizer has no chat templ"):
        training_data.check_template(run, TOKENIZER)
    folder = tmp_path / "tokenizer"
    shutil.copytree(specs.TINY_MODEL, folder)
    template = folder / "chat_template.jinja"
    template.write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    training_data.check_template(run, tokens.load_tokenizer(folder))
    template.write_text("{{ raise_exception('no system role') }}")
    with pytest.raises(
        ValueError, match="domain own: the chat template refuses it: no"
    ):
        training_data.check_template(run, tokens.load_tokenizer(folder))


def test_a_corpus_is_loaded_once_or_streamed(tmp_path):
    rows_ = [{"text": f"text {n}"} for n in range(40)] + [{"text": " "}]
    file = write(tmp_path / "own.jsonl", *rows_)
    run = own_run(file, eval_steps=5, eval_share=0.2)
    corpus = training_data.load_corpus(run, TOKENIZER, 32)
    assert isinstance(corpus, corpora.Corpus)
    assert training_data.load_corpus(run, TOKENIZER, 32) is corpus
    assert corpus.held_out["own"] and (tmp_path / "cache" / "jaxent").is_dir()
    assert training_data.format_tallies(corpus) == (
        "own_own: of 41 records 1 without text left out"
    )
    stream = training_data.load_corpus(own_run(file, streaming=True), TOKENIZER, 32)
    assert isinstance(stream, streamed.StreamedCorpus) and not stream.held_out
    assert training_data.describe_data(run, corpus) == {
        "own_own": {"path": file, "commit": None, "records": 41, "empty": 1}
    }


def test_a_malformed_stream_is_an_error_before_training(tmp_path):
    file = write(tmp_path / "own.jsonl", {"text": "a"}, {"text": 1})
    with pytest.raises(ValueError, match="own_own: .* row 2: column 'text' holds 1"):
        training_data.load_corpus(own_run(file, streaming=True), TOKENIZER, 32)


def test_a_data_set_that_is_cached_needs_no_hub(monkeypatch):
    run = own_run("owner/of-caching", messages_column=None)
    monkeypatch.setattr(rows, "read_hub", lambda *_: iter([{"text": "a"}]))
    first = training_data.load_corpus(run, TOKENIZER, 32)

    def no_network(*_):
        raise FileNotFoundError("data set owner/of-caching: the Hub did not give it")

    monkeypatch.setattr(rows, "read_hub", no_network)
    for function in (own.resolve, training_data._load_corpus):
        function.cache_clear()  # as in another process
    training_data.check_sources(run)
    training_data.check_template(run, TOKENIZER)
    assert training_data.load_corpus(run, TOKENIZER, 32).hashes == first.hashes
    other = own_run("owner/never-read")
    training_data.check_sources(other)
    with pytest.raises(FileNotFoundError, match="the Hub did not give it"):
        training_data.load_corpus(other, TOKENIZER, 32)


def test_the_commit_of_a_data_set_of_the_hub_is_recorded(monkeypatch):
    class Api:
        def dataset_info(self, name, revision):
            assert (name, revision) == ("owner/of-commits", "v1")
            return huggingface_hub.hf_api.DatasetInfo(id=name, sha="0123abc")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(rows, "read_hub", lambda *_: iter([{"text": "a"}]))
    run = own_run("owner/of-commits", dataset_revision="v1")
    corpus = training_data.load_corpus(run, TOKENIZER, 32)
    found = training_data.describe_data(run, corpus)["own_own"]
    assert found["commit"] == "0123abc" and found["path"] == "owner/of-commits"
    monkeypatch.setattr(huggingface_hub, "HfApi", None)  # as without a network
    assert training_data.describe_data(run, corpus)["own_own"]["commit"] is None
