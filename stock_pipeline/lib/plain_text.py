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


#: A feed or table name that may appear in a key: no slash, no dot first, nothing to escape.
SAFE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z")


def counted(number: int, noun: str) -> str:
    """`1 batch`, `2,000 batches`."""
    plural = f"{noun}es" if noun.endswith(("ch", "s")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
