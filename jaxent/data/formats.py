"""The text of one row of a data set, a function a data set.

Each takes a row as a dict of columns and returns the training text.
"""


def function_text(row: dict) -> str:
    """code_search_net python: the whole function, its docstring inside."""
    return row["whole_func_string"]


def commented_text(row: dict) -> str:
    """code_search_net javascript: the function after its documentation.

    The columns hold the two apart; the documentation becomes a /** */ comment again.
    """
    lines = row["func_documentation_string"].strip().splitlines()
    if not lines:
        return row["whole_func_string"]
    comment = "".join(f" * {line}".rstrip() + "\n" for line in lines)
    return f"/**\n{comment} */\n{row['whole_func_string']}"


def alpaca_text(row: dict) -> str:
    """CodeAlpaca: Alpaca's headings, the input's only where there is an input."""
    parts = [f"### Instruction:\n{row['instruction']}"]
    if row["input"]:
        parts.append(f"### Input:\n{row['input']}")
    parts.append(f"### Response:\n{row['output']}")
    return "\n\n".join(parts)


def gsm8k_text(row: dict) -> str:
    """gsm8k: question and worked answer, its <<calculator>> marks kept as published."""
    return f"Question: {row['question']}\nAnswer: {row['answer']}"


def competition_text(row: dict) -> str:
    """competition_math: problem and solution."""
    return f"Problem: {row['problem']}\nSolution: {row['solution']}"


def article_text(row: dict) -> str:
    """Wikipedia: title, blank line, text."""
    return f"{row['title']}\n\n{row['text']}"


def news_text(row: dict) -> str:
    """cnn_dailymail: the article, then its highlights."""
    return f"{row['article']}\n\nHighlights: {row['highlights']}"


def plain_text(row: dict) -> str:
    """A data set of plain texts: the text."""
    return row["text"]
