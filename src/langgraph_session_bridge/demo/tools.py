"""What the assistant can do: list, count, read and search in its workspace. Results depend on the files alone."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from langchain_core.tools import BaseTool, tool

from langgraph_session_bridge.demo.workspace import inside, is_shown, read_lines, text_files
from langgraph_session_bridge.errors import InvalidInputError

_WIDEST_LINE = 160


def workspace_tools(root: Path) -> list[BaseTool]:
    """The tools, bound to a workspace."""

    @tool
    def list_files(folder: str = ".") -> str:
        """List a folder: sub-folders end with a slash, files are followed by their size in bytes."""
        paths = sorted(path for path in inside(root, folder).iterdir() if is_shown(path.name))
        return "\n".join(f"{path.name}/" if path.is_dir() else f"{path.name}  {path.stat().st_size}" for path in paths)

    @tool
    def count_lines(folder: str = ".") -> str:
        """Count files, lines and words below a folder, by file name extension, most lines first."""
        totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for path in text_files(root, folder):
            lines = read_lines(path)
            counted = (1, len(lines), sum(len(line.split()) for line in lines))
            kind = path.suffix or path.name
            totals[kind] = [a + b for a, b in zip(totals[kind], counted, strict=True)]
        rows = sorted(totals.items(), key=lambda row: (-row[1][1], row[0]))
        return "\n".join(
            f"{kind}  {_counted(files, 'file')}  {_counted(lines, 'line')}  {_counted(words, 'word')}"
            for kind, (files, lines, words) in rows
        )

    @tool
    def largest_files(folder: str = ".", extension: str = "", top: int = 5) -> str:
        """List the files with the most lines below a folder, optionally of one extension such as `.py`."""
        found = [path for path in text_files(root, folder) if path.name.endswith(extension)]
        sizes = sorted((-len(read_lines(path)), path.relative_to(root).as_posix()) for path in found)
        return "\n".join(f"{-lines}  {name}" for lines, name in sizes[:top])

    @tool
    def read_file(path: str, first_line: int = 1, lines: int = 40) -> str:
        """Read some lines of a text file."""
        file = inside(root, path)
        if not file.is_file():
            raise InvalidInputError(f"{path} is not a file.")
        return "\n".join(read_lines(file)[max(0, first_line - 1) : max(0, first_line - 1) + lines])

    @tool
    def search(pattern: str, folder: str = ".", limit: int = 20) -> str:
        """Search text files with a regular expression: how often it was found, then `path:line: text` of the first."""
        try:
            wanted = re.compile(pattern)
        except re.error as error:
            raise InvalidInputError(f"{pattern!r} is not a regular expression: {error}.") from error
        hits = [
            f"{path.relative_to(root).as_posix()}:{number}: {line.strip()[:_WIDEST_LINE]}"
            for path in text_files(root, folder)
            for number, line in enumerate(read_lines(path), start=1)
            if wanted.search(line)
        ]
        files = len({hit.partition(":")[0] for hit in hits})
        return "\n".join([f"{_counted(len(hits), 'line')} in {_counted(files, 'file')}", *hits[:limit]])

    return [list_files, count_lines, largest_files, read_file, search]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
