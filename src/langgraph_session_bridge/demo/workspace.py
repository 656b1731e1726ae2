"""The directory that the assistant looks at, and what in it is worth reading."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import langgraph_session_bridge
from langgraph_session_bridge.errors import InvalidInputError

_SKIPPED = frozenset({"__pycache__", "node_modules", "build", "dist", "htmlcov", "venv", "site-packages", "target"})
_LARGEST_FILE = 512 * 1024
_MOST_FILES = 2_000
_SNIFFED = 4096


def find_workspace(path: str | os.PathLike[str] | None) -> Path:
    """The directory asked for, else the checkout that this package runs from, else the installed package.

    Raises:
        InvalidInputError: It is not a directory, or holds no text.
    """
    root = Path(path).expanduser().resolve() if path is not None else _own_source()
    if not root.is_dir():
        problem = "is not a directory" if root.exists() else "does not exist"
        raise InvalidInputError(f"{root} {problem}; --path needs a directory with text files.")
    if next(text_files(root), None) is None:
        raise InvalidInputError(f"{root} holds no text files that the assistant could read; choose another --path.")
    return root


def _own_source() -> Path:
    package = Path(langgraph_session_bridge.__file__).resolve().parent
    checkout = package.parent.parent
    return checkout if package.parent.name == "src" and (checkout / "pyproject.toml").is_file() else package


def text_files(root: Path, folder: str = ".") -> Iterator[Path]:
    """Text files below a folder, in a stable order, without what is hidden, generated or huge."""
    seen = 0
    for here, folders, names in os.walk(inside(root, folder)):
        folders[:] = sorted(name for name in folders if is_shown(name))
        for name in sorted(filter(is_shown, names)):
            path = Path(here, name)
            if not _is_text(path):
                continue
            yield path
            seen += 1
            if seen == _MOST_FILES:
                return


def inside(root: Path, path: str) -> Path:
    """A path of the workspace.

    Raises:
        InvalidInputError: It leads out of the workspace, or there is nothing.
    """
    found = (root / path).resolve()
    if not found.is_relative_to(root):
        raise InvalidInputError(f"{path} is outside of the workspace.")
    if not found.exists():
        raise InvalidInputError(f"{path} does not exist.")
    return found


def is_shown(name: str) -> bool:
    """Whether a file or folder of that name is looked at."""
    return not name.startswith(".") and name not in _SKIPPED and not name.endswith(".egg-info")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    return path.read_text(errors="replace").splitlines()


def fingerprint(root: Path) -> str:
    """Changes when a file of the workspace does."""
    digest = hashlib.sha256()
    for path in text_files(root):
        facts = path.stat()
        digest.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _is_text(path: Path) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or not 0 < path.stat().st_size <= _LARGEST_FILE:
            return False
        with path.open("rb") as file:
            return b"\0" not in file.read(_SNIFFED)
    except OSError:
        return False
