"""The table of data sets agrees with itself, the mixtures and the documents."""

import pathlib

import pytest

from jaxent.data import mix, sources

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_every_domain_has_a_source_and_every_source_a_domain():
    assert {source.domain for source in sources.SOURCES} == set(mix.DOMAINS)
    names = [source.name for source in sources.SOURCES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("source", sources.SOURCES, ids=lambda source: source.name)
def test_a_text_is_made_of_the_columns_and_nothing_else(source):
    text = source.text({column: f"<{column}>" for column in source.columns})
    assert all(f"<{column}>" in text for column in source.columns)


@pytest.mark.parametrize("source", sources.SOURCES, ids=lambda source: source.name)
def test_the_documents_name_its_home(source):
    assert source.hub[0] in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_first_file_that_exists_is_read(tmp_path):
    source = next(s for s in sources.SOURCES if s.name == "wikipedia")
    with pytest.raises(FileNotFoundError, match="none of wikipedia/train.jsonl, "):
        source.local_file(str(tmp_path))
    (tmp_path / "wikipedia").mkdir()
    for name in reversed(source.files):
        (tmp_path / name).touch()
        assert source.local_file(str(tmp_path)) == tmp_path / name


def test_what_a_root_must_hold_names_files_and_columns():
    text = sources.describe_root(sources.SOURCES)
    for source in sources.SOURCES:
        assert all(file in text for file in source.files)
        assert f"(columns {', '.join(source.columns)})" in text
