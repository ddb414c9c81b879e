"""Notices are found in comments, docstrings and `__copyright__`, each once."""

import ast

from embedded_texts import notices, standard_library

TEXT = '''"""About.

Copyright 1999 A.

THERE ARE NO WARRANTIES.

More."""
# Copyright 2000 B.
# All rights reserved.

# Another comment.
__copyright__ = "Copyright 2001 C."
x = 1  # no notice, copyright or not
'''


def source(module, text):
    return standard_library.Source(module, text, ast.parse(text))


def test_notices_are_verbatim():
    assert list(notices.iter_notices(source("a", TEXT))) == [
        "# Copyright 2000 B.\n# All rights reserved.",
        "Copyright 1999 A.",
        "THERE ARE NO WARRANTIES.",
        "Copyright 2001 C.",
    ]


def test_equal_notices_are_written_once_with_their_modules():
    comment = "# Copyright 2000 B.\n"
    text = notices.format_notice("3.x", [source("a", comment), source("b", comment)])
    assert text.count("Copyright 2000 B.") == 1
    assert "a, b:\n\n# Copyright 2000 B.\n" in text
    assert "Python 3.x" in text
