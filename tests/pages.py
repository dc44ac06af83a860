"""Finds and runs the code in the documentation.

A comment in the line before a block of code says where it runs. Neither the
site nor GitHub shows the comment:

    <!-- runs on: jax, torch -->        only under these backends
    <!-- runs on: jax; with: onnx -->   and only where this can be imported
    <!-- not run: it needs a GPU -->    nowhere, with the reason
"""

import dataclasses
import doctest
import importlib.util
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from backends import BACKEND

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *(
        path
        for path in sorted(DOCS.rglob("*.md"))
        if "_build" not in path.relative_to(DOCS).parts
    ),
]
BACKENDS = ("jax", "tensorflow", "torch", "numpy")

# The languages that run here, those that run elsewhere, and those without code.
LANGUAGES = ("python", "pycon", "sh", "r", "text", "json", "")

_FENCE = re.compile(r"( *)```+\s*(\S*)")
_MARK = re.compile(
    r" {,3}<!-- (?:runs on: ([\w, ]+)(?:; with: (\w+))?|not run: (\S.+)) -->"
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code, its place in a page, and the backends that run it."""

    where: str
    language: str
    text: str
    backends: tuple[str, ...] = BACKENDS
    package: str | None = None

    def runs_here(self) -> bool:
        """Tells whether the active backend and installed packages allow it."""
        is_there = self.package is None or importlib.util.find_spec(
            self.package
        )
        return BACKEND in self.backends and bool(is_there)


def blocks(text: str, page: str = "page") -> Iterator[Block]:
    """Yields the blocks of code in a page, in order."""
    lines = enumerate(text.split("\n"), 1)
    before = ""
    for number, line in lines:
        fence = _FENCE.fullmatch(line.rstrip())
        where = f"{page}, line {number}"
        if not fence:
            if _MARK.match(before):
                raise ValueError(f"{where}: a mark without a block after it")
            before = line
            continue
        indent, language = fence.groups()
        inside = []
        for _, line in lines:
            if line.strip().startswith("```"):
                break
            inside.append(line.removeprefix(indent))
        # A directive of MyST is for Sphinx; it is not code.
        if not language.startswith("{"):
            if language not in LANGUAGES:
                raise ValueError(f"{where}: no known language: {language!r}")
            code = "\n".join(inside) + "\n"
            yield Block(where, language, code, *_demands(before, where))
        before = ""


def cells(path: pathlib.Path) -> Iterator[Block]:
    """Yields the code of a notebook, in order."""
    notebook = json.loads(path.read_text())
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "code":
            where = f"{path.name}, cell {number}"
            yield Block(where, "python", "".join(cell["source"]))


def _demands(line: str, where: str) -> tuple[tuple[str, ...], str | None]:
    """Returns the backends and the package that the line before names."""
    if not line.strip().startswith("<!--"):
        return BACKENDS, None
    mark = _MARK.fullmatch(line.rstrip())
    if mark is None:
        raise ValueError(f"{where}: no known mark: {line}")
    names = tuple(mark[1].split(", ")) if mark[1] else ()
    if not set(names) <= set(BACKENDS):
        raise ValueError(f"{where}: no known backend in {line}")
    return names, mark[2]


def run(block: Block, names: dict[str, Any]) -> None:
    """Runs a block of Python, if it is meant for this backend.

    Args:
        block: The block.
        names: The variables of the page; the block adds its own.
    """
    if not block.runs_here():
        return
    if block.language == "python":
        exec(compile(block.text, block.where, "exec"), names)
    elif block.language == "pycon":
        _compare(block, names)


def _compare(block: Block, names: dict[str, Any]) -> None:
    """Runs a session, and compares what it prints and raises."""
    session = doctest.DocTestParser().get_doctest(
        block.text, names, block.where, block.where, 0
    )
    said: list[str] = []
    runner = doctest.DocTestRunner(
        # Messages are longer than lines, and some name the backend.
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
        verbose=False,
    )
    runner.run(session, out=said.append, clear_globs=False)
    names.update(session.globs)
    if runner.failures:
        raise AssertionError("".join(said))


def dead_links(text: str, page: pathlib.Path) -> list[str]:
    """Returns the links of a page to missing files or headings."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", path):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


def anchors(page: pathlib.Path) -> set[str]:
    """Returns the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }
