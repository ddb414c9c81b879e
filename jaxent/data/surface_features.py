"""Surface features of a text: punctuation and length, small words, tokens.

None of them says what a text is about. A tokenizer is any object whose `encode(text)`
has `ids`, such as `tokenizers.Tokenizer`.
"""

import re

import numpy as np

COUNT_NAMES: tuple[str, ...] = (
    "question marks",
    "exclamation marks",
    "commas",
    "periods",
    "semicolons",
    "colons",
    "hyphens",
    "dashes",
    "quotes",
    "apostrophes",
    "parentheses",
    "digits",
    "inner capitals",
    "words",
    "characters",
    "mean word length",
    "sentences",
)

_FUNCTION_WORDS = """
a an the this that these those each every any some no all both either neither another
other such i me my mine we us our ours you your yours he him his she her hers it its
they them their theirs who whom whose which what one itself himself herself themselves
of in on at by for with from to into onto over under within between among through
about against after before during until since upon above below without across beyond
toward inside outside per out up down off and or but nor so yet if unless because
although though while whereas when whenever where as than whether therefore thus hence
however moreover otherwise instead then is are was were be been being am has have had
having do does did done can could may might must shall should will would ought need
not n't 's 'll 're 've 'd 'm there here only just even also too very more most less
least still already again once never always how why
"""
FUNCTION_WORDS = tuple(_FUNCTION_WORDS.split())

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
# What "can't", "won't" and "cannot" count as.
_STEMS = {"ca": "can", "wo": "will", "cannot": "can"}
_CLITIC = re.compile(r"(n't|'(?:s|ll|re|ve|d|m))$")
_SENTENCE_END = re.compile(r"[.?!]+[\"')\]]*(?=\s|$)")
_SENTENCE_START = re.compile(r"(?:^|[.?!][\"')\]]*\s+)[\"'(\[]*([A-Z])")
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_DASH = re.compile(r"[\u2013\u2014]|(?<=\s)--?(?=\s)")
_APOSTROPHE = re.compile(r"(?<=\w)['\u2019](?=\w)|(?<=s)['\u2019](?=\s)")


def counts(text: str) -> list[float]:
    """Count the 17 surface features of `COUNT_NAMES` in one text.

    A capital is an inner one when it opens no sentence. A period counts wherever it
    stands, also within a number or an attribute access. Straight and curly double
    quotes count one each.

    Args:
        text: One probe text.

    Returns:
        17 numbers in the order of `COUNT_NAMES`.

    Example:
        >>> found = dict(zip(COUNT_NAMES, counts("Is it 40, Ann? It's (almost) so.")))
        >>> found["question marks"], found["digits"], found["inner capitals"]
        (1.0, 2.0, 1.0)
        >>> found["apostrophes"], found["parentheses"], found["sentences"]
        (1.0, 2.0, 2.0)
    """
    words = text.split()
    capitals = sum(letter.isupper() for letter in text)
    opening_capitals = len(_SENTENCE_START.findall(text))
    letters = sum(character.isalnum() for character in text)
    found = (
        text.count("?"),
        text.count("!"),
        text.count(","),
        text.count("."),
        text.count(";"),
        text.count(":"),
        len(_HYPHEN.findall(text)),
        len(_DASH.findall(text)),
        sum(text.count(quote) for quote in '"\u201c\u201d'),
        len(_APOSTROPHE.findall(text)),
        text.count("(") + text.count(")"),
        sum(character.isdigit() for character in text),
        capitals - opening_capitals,
        len(words),
        len(text),
        letters / max(len(words), 1),
        len(_SENTENCE_END.findall(text)),
    )
    return [float(number) for number in found]


def count_features(texts: list[str]) -> np.ndarray:
    """Count the 17 surface features of many texts.

    Args:
        texts: N probe texts.

    Returns:
        Counts, float64 [N, 17].

    Example:
        >>> count_features(["One, two.", "Three?"]).shape
        (2, 17)
    """
    return np.array([counts(text) for text in texts])


def function_words(text: str) -> list[str]:
    """List the words of a text in lower case, with contractions split.

    Args:
        text: One probe text.

    Returns:
        Words in order; "can't" gives "ca" and "n't", "it's" gives "it" and "'s".

    Example:
        >>> function_words("She can't say it's so.")
        ['she', 'ca', "n't", 'say', 'it', "'s", 'so']
    """
    plain = text.lower().replace("\u2019", "'")
    words = []
    for word in _WORD.findall(plain):
        pieces = [piece for piece in _CLITIC.split(word) if piece]
        words.extend(pieces)
    return words


def function_word_features(texts: list[str]) -> np.ndarray:
    """Count each of the words of `FUNCTION_WORDS` in many texts.

    Args:
        texts: N probe texts.

    Returns:
        Counts, float64 [N, number of function words].

    Example:
        >>> features = function_word_features(["If it must, it must."])
        >>> float(features[0, FUNCTION_WORDS.index("must")])
        2.0
    """
    column = {word: index for index, word in enumerate(FUNCTION_WORDS)}
    features = np.zeros((len(texts), len(FUNCTION_WORDS)))
    for row, text in enumerate(texts):
        for word in function_words(text):
            word = _STEMS.get(word, word)
            if word in column:
                features[row, column[word]] += 1
    return features


def token_features(texts: list[str], tokenizer) -> np.ndarray:
    """Count the tokens of many texts.

    Args:
        texts: N probe texts.
        tokenizer: An object whose `encode(text)` has `ids`.

    Returns:
        Number of tokens, float64 [N, 1].

    Example:
        >>> import types
        >>> def encode(text):
        ...     return types.SimpleNamespace(ids=text.split())
        >>> token_features(["a b c"], types.SimpleNamespace(encode=encode))
        array([[3.]])
    """
    return np.array([[float(len(tokenizer.encode(text).ids))] for text in texts])
