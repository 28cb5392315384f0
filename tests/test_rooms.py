"""docs/design.md's list of rooms: all are there, and none imports one that stands below it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "organnet"
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def rooms() -> list[str]:
    """In the order of the list."""
    text = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    listing = re.search(r"```\norgannet/\n(.*?)```", text, re.DOTALL)
    assert listing is not None
    heads = re.findall(r"^  (\w+(?:, \w+)*)/? ", listing[1], re.MULTILINE)
    return [name for head in heads for name in head.split(", ")]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Rooms that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "organnet":
            yield from (alias.name for alias in node.names if alias.name in rooms())
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("organnet."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1] for alias in node.names if alias.name[:9] == "organnet."
            )


def test_every_room_is_listed_once() -> None:
    assert sorted(rooms()) == sorted({room(path) for path in FILES})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_none_below_it(path: Path) -> None:
    order = rooms()
    place = order.index(room(path))
    below = {name for name in imported(path) if order.index(name) > place}
    assert not below, f"{path.name} imports {', '.join(sorted(below))}"
