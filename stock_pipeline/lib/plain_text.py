"""Text of others, such as a symbol, shown on a terminal or in the UI: it cannot act there."""

from __future__ import annotations

import re

#: What begins markup, a link, HTML or another cell in Markdown.
_MARKUP = re.compile(r"[\\`*\[\]<>#!|~&$\"]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def one_line(text: str) -> str:
    """The text with escapes for what does not print: line ends, control and hidden characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def markdown(text: str) -> str:
    """Markdown that shows the text letter by letter, also in a cell of a table."""
    # Entities, not backslashes: a table takes the backslash of `\\|` away before it reads the cell.
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", one_line(text))
