"""The page of what earlier projects did names nothing that is not there."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "founding-features.md"
LINK = re.compile(r"\[([^]]+)]\(([^)]+)\)")
KINDS = ("differently: ", "partly: ", "not done: ", "not ours")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d-\d\d ", line)
]


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_what_exists(row: list[str]) -> None:
    _, what, where, shown, note = row
    assert what and (LINK.search(where) or note.startswith(KINDS))
    assert LINK.search(shown) or note, "what no test shows has a note"
    for text, target in LINK.findall(where + shown):
        aim = PAGE.parent / target
        assert aim.exists(), f"{target} does not exist"
        path, _, name = text.partition("::")
        assert aim.resolve().as_posix().endswith(path), f"{text} leads to {target}"
        assert not name or name in names_in(aim), f"there is no {text}"
    assert LINK.sub("", where).strip(", ") == LINK.sub("", shown).strip(", ") == "", "only links"


def test_rows_are_numbered_without_a_gap() -> None:
    sections = [[row[0] for row in rows] for _, rows in groupby(ROWS, key=lambda row: row[0][0])]
    assert [len(section) for section in sections] == [46, 59, 25, 21, 19]
    for number, section in enumerate(sections):
        assert section == [f"{number}-{n:02}" for n in range(1, len(section) + 1)]
