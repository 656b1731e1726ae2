"""What the documents tell readers to do works: code runs, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from pytest_examples import CodeExample, EvalExample, find_examples
from typer.testing import CliRunner

from langgraph_session_bridge.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = ROOT / "README.md"
GUIDES = [
    ROOT / "docs" / name for name in ("records.md", "condensing.md", "branches.md", "analytics.md", "timelines.md")
]
"""Pages whose blocks go on where the one before ended."""
COMMANDS = {"make", "session-bridge", "pip"}


def python_blocks(page: Path) -> list[CodeExample]:
    """A block that can't run here says so: ```python {test="skip"}."""
    blocks = find_examples(page) if page.exists() else []
    return [block for block in blocks if block.prefix_settings().get("test") != "skip"]


def commands() -> Iterator[str]:
    for token in (
        token for page in (README, *GUIDES) if page.exists() for token in MarkdownIt().parse(page.read_text())
    ):
        if token.type == "fence" and token.info.split()[:1] in (["bash"], ["sh"], ["shell"], ["console"]):
            for line in token.content.splitlines():
                command = line.removeprefix("$ ").partition("#")[0].strip()
                if command.split()[:1] and command.split()[0] in COMMANDS:
                    yield command


def links(page: Path) -> Iterator[str]:
    for token in MarkdownIt().parse(page.read_text()):
        for child in token.children or []:
            if target := child.attrGet("href") or child.attrGet("src"):
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The anchors that code hosts give to headings."""
    tokens = MarkdownIt().parse(page.read_text())
    titles = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of a page gets a directory and servers of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSB_EMBEDDED_DIR", str(tmp_path / "servers"))


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("example", python_blocks(README), ids=str)
def test_readme_code_runs(example: CodeExample, eval_example: EvalExample) -> None:
    eval_example.run(example)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_a_guide_runs_from_top_to_bottom(page: Path, eval_example: EvalExample) -> None:
    known: dict[str, Any] = {}
    for example in python_blocks(page):
        known |= eval_example.run(example, module_globals=known)
    assert known


@pytest.mark.parametrize("command", list(commands()))
def test_readme_commands_exist(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)
    elif program == "session-bridge":
        verbs = [argument for argument in arguments if re.fullmatch(r"[a-z][a-z-]*", argument)][:1]
        assert CliRunner().invoke(app, [*verbs, "--help"]).exit_code == 0
    else:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        asked = re.findall(r"langgraph-session-bridge\[([^\]]+)\]", command)
        unknown = {extra for group in asked for extra in group.split(",")} - set(project["optional-dependencies"])
        assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path) if path else page
        assert aim.exists(), f"{page.name} links to {target}, which does not exist"
        assert not anchor or aim.suffix != ".md" or anchor in anchors(aim), f"{page.name}: no heading {target}"
