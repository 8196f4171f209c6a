"""What the docs and the docstrings call a file, a folder or a module exists under that name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_pipeline.settings import project_root

ROOT = project_root()
CODE = ("stock_pipeline", "stock_pipeline_tests", "benchmarks")
#: Where a path may begin: at the top, or in a package, as in `lake/layout.py`.
BEGINNINGS = (ROOT, *(ROOT / name for name in CODE), ROOT / "docs")
FILES = "py|sql|md|yaml|yml|toml|lock|png|svg|txt"
#: `lake/layout.py`, `sources/vendors/<name>.py`, `docs/decisions/*.md`.
PATH = re.compile(rf"(?<![\w./<>*$~:-])((?:[\w.<>*-]+/)+[\w.<>*-]+\.(?:{FILES}))(?![\w/])")
#: A file without its folder, in code: `vendor_server.py`.
FILE = re.compile(r"`([a-z_0-9]+\.(?:py|sql))`")
#: A folder, in code: `lib/sql/`, `stock_pipeline_tests/integration`.
FOLDER = re.compile(r"`((?:[a-z_]+/)+[a-z_]*)`")
#: `python -m benchmarks.soak`, `stock_pipeline.sources.registry`.
MODULE = re.compile(rf"(?<![\w./-])((?:{'|'.join(CODE)})(?:\.\w+)+)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
#: Folders of the lake and of .stock_pipeline, and files that a person makes.
NOT_OURS = re.compile(
    r"^(bronze|bronze_compacted|quarantine|silver|gold|landing|_\w+|broker|apache|logs|dist"
    r"|\.\w+)(/|$)"
)

PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("Makefile")]
    if page.is_file()
)
SOURCES = sorted(
    path for name in CODE for path in (ROOT / name).rglob("*.py") if "__pycache__" not in path.parts
)
NAMES = {path.name for name in CODE for path in (ROOT / name).rglob("*") if path.is_file()}
#: The changelog also names what there was.
OF_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]


def exists(path: str, beside: Path) -> bool:
    """Whether something has this name; `<name>` and `*` stand for any."""
    pattern = re.sub(r"<[^>]*>|\*+", "*", path.rstrip("/"))
    return any(any(start.glob(pattern)) for start in (*BEGINNINGS, beside))


def is_module(dotted: str) -> bool:
    """Whether it is a module or package, or a name inside of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        file = place.with_suffix(".py") if not place.is_dir() else place / "__init__.py"
        if file.is_file():
            inner = parts[length:]
            return not inner or bool(re.search(rf"\b{inner[0]}\b", file.read_text("utf-8")))
    return False


def comments(source: str) -> str:
    """The docstrings and comments of a module, which are what a reader follows."""
    return "\n".join(re.findall(r'"""(?:.|\n)*?"""|#.*', source))


def stale(text: str, beside: Path) -> Iterator[str]:
    for path in PATH.findall(text):
        if not NOT_OURS.match(path) and not exists(path, beside):
            yield path
    for name in FILE.findall(text):
        if name not in NAMES and not (ROOT / name).exists():
            yield name
    for folder in FOLDER.findall(text):
        first = folder.split("/")[0]
        known = any((start / first).is_dir() for start in BEGINNINGS)
        if known and not NOT_OURS.match(folder) and not exists(folder, beside):
            yield folder
    for module in MODULE.findall(text):
        if not is_module(module):
            yield module


@pytest.mark.parametrize("page", OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_and_module_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    assert sorted(set(stale(text, page.parent))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    links = set(LINK.findall(page.read_text(encoding="utf-8")))
    assert sorted(link for link in links if not (page.parent / link).exists()) == []


def test_every_path_and_module_that_a_docstring_or_comment_names_exists():
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if path != Path(__file__)
        for name in stale(comments(path.read_text(encoding="utf-8")), path.parent)
    }
    assert sorted(found) == []


def test_the_page_on_architecture_names_every_room_of_the_package():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (ROOT / "stock_pipeline").glob("*/__init__.py")}
    assert len(rooms) >= 16
    assert sorted(room for room in rooms if f"| `{room}/` |" not in page) == []


def test_the_page_on_architecture_has_the_layers_that_lint_holds():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    shown = "\n".join(layer.replace("(", "").replace(")", "") for layer in layers)
    assert f"```\n{shown}\n```" in page


@pytest.mark.parametrize("page", OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = {
        target
        for words in re.findall(r"(?:`|^)make ([a-z -]+?)(?:[^a-z -]|$)", text, re.MULTILINE)
        for target in words.split()
    }
    assert sorted(named - targets) == []


@pytest.mark.parametrize(
    "text",
    [
        "look into resources/kafka.py",
        "see `lib/quality_checks.py`",
        "`no_such_module.py` says so",
        "`stock_pipeline/resources/` has it",
        "python -m benchmarks.no_such_thing",
        "`stock_pipeline.lake.layout.no_such_key`",
    ],
)
def test_a_name_that_nothing_has_is_found(text):
    assert list(stale(text, ROOT))


@pytest.mark.parametrize(
    "text",
    [
        "`lake/layout.py` and lake/store.py",
        "`lib/sql/decode_<format>.sql`",
        "`stock_pipeline_tests/integration`",
        "the lake's `bronze/<feed>/x.yaml`, and `bronze/`",
        "python -m benchmarks.soak",
        "`stock_pipeline.lake.layout`",
    ],
)
def test_a_name_that_something_has_is_not(text):
    assert list(stale(text, ROOT)) == []
