"""Names that try to become a path, SQL, markup or a command."""

from __future__ import annotations

#: Symbols that a decoder accepts: ugly, but text.
ACCEPTED = (
    "../../../etc/passwd",
    "..\\..\\x",
    "'; DROP TABLE trades; --",
    '"; SELECT 1; --',
    "' OR '1'='1",
    "\\'",
    "A/B",
    "A|B\\|C",
    "<script>alert(1)</script>",
    "![x](http://a.example/b.png)",
    "[red]x[/] [/nothing]",
    "${HOME} $(id) `id`",
    "%s %d {0} {symbol} {{x}}",
    "trade_date=2026-01-01",
    "=cmd|' /C calc'!A0",
    "* _ ~ # - +",
    "NULL",
    "nan",
    "--",
    "日経 225",
    "É😀",
    "A" * 64,
)
#: Symbols that it rejects.
REJECTED = ("", " ", " A", "A\n", "A\x00B", "\x1b[2J", "A\u202eB", "\ufeffA", "A" * 65, "A" * 1000)
