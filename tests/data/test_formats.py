"""The text of a row, by data set."""

from jaxent.data import formats


def test_alpaca_has_the_input_heading_only_with_an_input():
    row = {"instruction": "Add.", "input": "1 2", "output": "3"}
    expected = "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3"
    assert formats.alpaca_text(row) == expected
    expected = "### Instruction:\nAdd.\n\n### Response:\n3"
    assert formats.alpaca_text(row | {"input": ""}) == expected


def test_question_and_answer():
    row = {"question": "q", "answer": "a\n#### 1"}
    assert formats.gsm8k_text(row) == "Question: q\nAnswer: a\n#### 1"
    row = {"problem": "p", "solution": "s"}
    assert formats.competition_text(row) == "Problem: p\nSolution: s"


def test_articles():
    assert formats.article_text({"title": "t", "text": "x"}) == "t\n\nx"
    row = {"article": "a", "highlights": "h"}
    assert formats.news_text(row) == "a\n\nHighlights: h"
    assert formats.plain_text({"text": "x", "title": "t"}) == "x"


def test_documentation_becomes_a_comment_before_the_function():
    row = {
        "func_documentation_string": "Adds.\n\n@return {number}",
        "whole_func_string": "function f() {}",
    }
    expected = "/**\n * Adds.\n *\n * @return {number}\n */\nfunction f() {}"
    assert formats.commented_text(row) == expected
    bare = row | {"func_documentation_string": ""}
    assert formats.commented_text(bare) == "function f() {}"
    assert formats.function_text(bare) == "function f() {}"
