"""Payloads made from the corpus at random: by structure, by text and by bytes."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from typing import Any

from stock_pipeline_tests.fuzz.corpus import FOREIGN, KEYS, SEEDS, VALUES

#: Members of an object in their order, so that a key can be there twice.
Members = list[list[Any]]

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "utf-7", "cp037")
_BYTES = (b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x1f", b"\\", b'"')


class Raw(str):
    """JSON text, put in as it is."""

    __slots__ = ()


class Mutator:
    """Payloads for one format; the same seed gives the same ones.

    Args:
        format_: Message format.
        seed: Of the random numbers.
    """

    def __init__(self, format_: str, seed: int) -> None:
        self._rng = random.Random(f"{format_} {seed}")
        self._trees = [json.loads(s, object_pairs_hook=_members) for s in SEEDS[format_]]
        self._seeds = SEEDS[format_]

    def payloads(self, count: int) -> list[bytes | None]:
        """A batch: about a third valid, the rest mutated."""
        return [self.payload() for _ in range(count)]

    def payload(self) -> bytes | None:
        """One payload; None is a tombstone."""
        kind = self._rng.random()
        if kind < 0.30:
            return self._rng.choice(self._seeds).encode()
        if kind < 0.31:
            return self._rng.choice((None, b"", b" ", b"null", b"[]", b"0"))
        if kind < 0.34:
            return self._rng.choice(FOREIGN).encode()
        if kind < 0.36:
            return self._rng.randbytes(self._rng.randrange(1, 60))
        if kind < 0.80:
            return self._structured().encode("utf-8", "surrogatepass")
        text = self._structured() if kind < 0.90 else self._rng.choice(self._seeds)
        return self._damaged(text)

    def with_value(self, value: Any) -> bytes:
        """A seed with one member of one of its objects set to this value."""
        tree = _copy(self._rng.choice(self._trees))
        members = self._members_in(tree)
        self._rng.choice(members)[1] = Raw(json.dumps(value, ensure_ascii=False))
        return _text(tree).encode("utf-8", "surrogatepass")

    def _structured(self) -> str:
        """A seed with one to three of its values, keys or members changed."""
        tree = _copy(self._rng.choice(self._trees))
        for _ in range(self._rng.choice((1, 1, 1, 2, 3))):
            self._change(self._members_in(tree))
        return _text(tree)

    def _members_in(self, tree: Members) -> Members:
        """An object of the tree at random, the outer ones more often."""
        while True:
            inner = [value for _, value in tree if _is_object(value)]
            if not inner or self._rng.random() < 0.4:
                return tree
            tree = self._rng.choice(inner)

    def _change(self, members: Members) -> None:
        rng = self._rng
        at = rng.randrange(len(members)) if members else 0
        kind = rng.random()
        if not members or kind < 0.15:
            members.insert(at, [rng.choice(KEYS), Raw(rng.choice(VALUES))])
        elif kind < 0.70:
            members[at][1] = Raw(rng.choice(VALUES))
        elif kind < 0.80:
            del members[at]
        elif kind < 0.85:
            members[at][0] = rng.choice(KEYS)
        elif kind < 0.92:
            members.append([members[at][0], Raw(rng.choice(VALUES))])
        elif kind < 0.97:
            members.append(_copy(members[at]))
        else:
            rng.shuffle(members)

    def _damaged(self, text: str) -> bytes:
        """The text in a wrong encoding or with wrong bytes."""
        rng, data = self._rng, text.encode("utf-8", "surrogatepass")
        ways: list[Callable[[], bytes]] = [
            lambda: rng.choice(_BOMS) + data,
            lambda: text.encode(rng.choice(_ENCODINGS), "replace"),
            lambda: data[: rng.randrange(len(data) + 1)],
            lambda: _spliced(data, rng.randrange(len(data) + 1), 0, rng.choice(_BYTES)),
            lambda: _spliced(data, rng.randrange(len(data) + 1), 3, rng.randbytes(3)),
            lambda: data + rng.choice((b",", b"}", b"\x00", b" x", b"\n{}", b"\r\n\t ")),
            lambda: text.replace("}", ",}").encode("utf-8", "surrogatepass"),
            lambda: text.replace('"', "'").encode("utf-8", "surrogatepass"),
            lambda: b"/* c */" + data + b"// c",
            lambda: b"[" + data + b"]",
            lambda: json.dumps(text).encode(),
            lambda: gzip.compress(data, mtime=0),
            lambda: bytes(b ^ (rng.random() < 0.02) << rng.randrange(8) for b in data),
        ]
        return rng.choice(ways)()


def _spliced(data: bytes, at: int, cut: int, put: bytes) -> bytes:
    return data[:at] + put + data[at + cut :]


def _members(pairs: list[tuple[str, Any]]) -> Members:
    return [[key, value] for key, value in pairs]


def _is_object(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(m, list) and len(m) == 2 for m in value)


def _copy(tree: Any) -> Any:
    return [_copy(part) for part in tree] if isinstance(tree, list) else tree


def _text(value: Any) -> str:
    if isinstance(value, Raw):
        return value
    if _is_object(value):
        return "{" + ", ".join(f'"{key}": {_text(inner)}' for key, inner in value) + "}"
    return json.dumps(value, ensure_ascii=False)
