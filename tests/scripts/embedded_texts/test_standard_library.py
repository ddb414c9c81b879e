"""Definitions and docstrings are cut out of a folder of sources in sorted order."""

import pathlib

import pytest
from embedded_texts import standard_library


def cut_code(root):
    sources = standard_library.read_sources(root)
    return [p for source in sources for p in standard_library.iter_code(source)]


def test_code_and_documentation_come_from_the_folder_in_sorted_order(tmp_path):
    body = "\n".join(f"    x{i} = {i}" for i in range(10))
    for name in (
        "b.py",
        "a/c.py",
        "test/d.py",
        "site-packages/e.py",
        "idlelib/f.py",
        "broken.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        stem = pathlib.Path(name).stem
        (tmp_path / name).write_text(f'"""About {stem}."""\ndef {stem}():\n{body}\n')
    (tmp_path / "broken.py").write_text("def (:\n")
    assert [passage.family for passage in cut_code(tmp_path)] == ["c", "b"]
    sources = standard_library.read_sources(tmp_path)
    assert [source.module for source in sources] == ["a.c", "b"]
    docstrings = [d for s in sources for d in standard_library.iter_docstrings(s)]
    texts = [passage.text for passage in docstrings if passage.text]
    assert texts == ["About c.", "About b."]


def test_long_classes_give_their_members(tmp_path):
    method = "    @property\n    def m{0}(self):\n" + "        pass\n" * 29
    members = "".join(method.format(i) for i in range(3))
    (tmp_path / "a.py").write_text(f"class A:\n{members}")
    code = cut_code(tmp_path)
    first_lines = [passage.text.splitlines()[:2] for passage in code]
    assert first_lines == [["@property", f"def m{i}(self):"] for i in range(3)]
    assert {passage.family for passage in code} == {"A"}


def test_docstrings_of_members_go_with_their_class(tmp_path):
    text = '"""M."""\nclass A:\n    """A."""\n    def f(self):\n        """F."""\n'
    (tmp_path / "m.py").write_text(text)
    (source,) = standard_library.read_sources(tmp_path)
    passages = list(standard_library.iter_docstrings(source))
    assert [(p.family, p.text) for p in passages] == [("m", "M."), ("A", "A.\n\nF.")]


def test_absent_sources_are_named(tmp_path):
    expected = "found no .py files in .*expected a normal Python"
    with pytest.raises(FileNotFoundError, match=expected):
        standard_library.read_sources(tmp_path / "nowhere")
