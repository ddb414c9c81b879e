"""The files of the embedded texts are written in one form, by one Python."""

import platform

import make_embedded_texts as script
import pytest
from embedded_texts import passages


def test_rows_are_lines_of_utf8(tmp_path):
    file = tmp_path / "rows.jsonl"
    script.write_rows(file, [passages.Passage("f", "naïve\n\u2028x")])
    expected = '{"split": "train", "family": "f", "text": "naïve\\n\u2028x"}\n'
    assert file.read_bytes() == expected.encode()


def test_another_python_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.12.1")
    with pytest.raises(SystemExit, match="Python 3.12.1: expected 3.11.7"):
        script.main(tmp_path)
    assert list(tmp_path.iterdir()) == []
