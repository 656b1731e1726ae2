"""What the scripted model says next: a pure function of the conversation, each call built on earlier results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

Arguments = Mapping[str, Any]
Results = Mapping[str, str]
"""Tool results by call id, `<stage>.<position>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A turn of the model: what it says, and the calls that it makes of what is known (none: the turn is skipped)."""

    name: str
    says: str
    calls: Callable[[Results], Sequence[tuple[str, Arguments]]]


def next_message(messages: Sequence[AnyMessage]) -> AIMessage:
    """The reply to a conversation: the same for the same conversation, its id included."""
    results = {message.tool_call_id: str(message.content) for message in messages if isinstance(message, ToolMessage)}
    asked = [message for message in messages if isinstance(message, AIMessage)]
    number = f"ai-{len(asked) + 1}"
    for stage in _STAGES[_position(asked) :]:
        if calls := stage.calls(results):
            return AIMessage(stage.says, id=number, tool_calls=[*_tool_calls(stage, calls)])
    return AIMessage(_answer(results), id=number)


def _position(asked: Sequence[AIMessage]) -> int:
    if not asked:
        return 0
    done = str(asked[-1].tool_calls[0]["id"]).partition(".")[0]
    return [stage.name for stage in _STAGES].index(done) + 1


def _tool_calls(stage: Stage, calls: Sequence[tuple[str, Arguments]]) -> list[ToolCall]:
    return [
        ToolCall(name=name, args=dict(args), id=f"{stage.name}.{number}", type="tool_call")
        for number, (name, args) in enumerate(calls)
    ]


# Reading results


def _rows(results: Results, call: str) -> list[str]:
    return results.get(call, "").splitlines()


def _readme(results: Results) -> str | None:
    files = [row.split("  ")[0] for row in _rows(results, "look.0") if not row.endswith("/")]
    readmes = [name for name in files if name.lower().startswith("readme")]
    return next(iter(readmes or files), None)


def _main_extension(results: Results) -> str:
    return next((row.split("  ")[0] for row in _rows(results, "measure.0")), "")


def _largest(results: Results) -> str | None:
    return next((row.split("  ", 1)[1] for row in _rows(results, "rank.0")), None)


def _folder(path: str | None) -> str:
    return str(PurePosixPath(path or ".").parent)


def _word(results: Results) -> str | None:
    """The name that the largest file uses most: one in capitals-inside spelling, else one with underscores."""
    text = results.get("open.0", "")
    found = re.findall(r"\b[A-Z][a-z]+[A-Z]\w+\b", text) or re.findall(r"\b[a-z]+_[a-z]\w+\b", text)
    names = Counter(found)
    return min(names, key=lambda name: (-names[name], name), default=None)


def _hits(results: Results, call: str) -> list[tuple[str, int]]:
    found = [re.match(r"([^:]+):(\d+): ", row) for row in _rows(results, call)[1:]]
    return [(match[1], int(match[2])) for match in found if match]


def _busiest(results: Results, call: str) -> str | None:
    files = Counter(path for path, _ in _hits(results, call))
    return min(files, key=lambda path: (-files[path], path), default=None)


# The stages


def _look(_: Results) -> list[tuple[str, Arguments]]:
    return [("list_files", {"folder": "."})]


def _measure(results: Results) -> list[tuple[str, Arguments]]:
    readme = _readme(results)
    read = [("read_file", {"path": readme, "lines": 30})] if readme else []
    return [("count_lines", {"folder": "."}), *read]


def _rank(results: Results) -> list[tuple[str, Arguments]]:
    return [("largest_files", {"extension": _main_extension(results), "top": 5})]


def _open(results: Results) -> list[tuple[str, Arguments]]:
    path = _largest(results)
    if path is None:
        return []
    search = {"pattern": r"^\s*(async |export |pub )*(class|def|func(tion)?|fn|struct) ", "folder": _folder(path)}
    return [("read_file", {"path": path, "lines": 60}), ("search", search)]


def _follow(results: Results) -> list[tuple[str, Arguments]]:
    word = _word(results)
    return [("search", {"pattern": rf"\b{word}\b", "limit": 40})] if word else []


def _visit(results: Results) -> list[tuple[str, Arguments]]:
    path = _busiest(results, "follow.0")
    return [("read_file", {"path": path, "lines": 30})] if path else []


def _failures(results: Results) -> list[tuple[str, Arguments]]:
    return [("search", {"pattern": r"^\s*(raise|throw|panic|except|catch)\b", "limit": 40})]


def _inspect(results: Results) -> list[tuple[str, Arguments]]:
    hits = _hits(results, "failures.0")
    if not hits:
        return []
    path = _busiest(results, "failures.0")
    line = next(number for name, number in hits if name == path)
    around = {"path": path, "first_line": max(1, line - 8), "lines": 16}
    return [("read_file", around), ("count_lines", {"folder": _folder(path)})]


def _loose_ends(_: Results) -> list[tuple[str, Arguments]]:
    return [("search", {"pattern": r"\b(TODO|FIXME|XXX)\b", "limit": 5})]


_STAGES = (
    Stage(name="look", says="First, what is there?", calls=_look),
    Stage(name="measure", says="How much of what is it, and what does it say of itself?", calls=_measure),
    Stage(name="rank", says="Which files are the heaviest?", calls=_rank),
    Stage(name="open", says="The heaviest one, and what is defined around it.", calls=_open),
    Stage(name="follow", says="It leans on one name more than on others; who else does?", calls=_follow),
    Stage(name="visit", says="The file that uses it most.", calls=_visit),
    Stage(name="failures", says="And how does it fail?", calls=_failures),
    Stage(name="inspect", says="The place where that is densest.", calls=_inspect),
    Stage(name="loose", says="Last, what did its authors leave for later?", calls=_loose_ends),
)


def _answer(results: Results) -> str:
    def found(call: str) -> str:
        """How often a search hit, and where most."""
        busiest = _busiest(results, call)
        return _first(results, call) + (f", most in {busiest}" if busiest else "")

    return "\n".join(
        [
            f"Mostly {_first(results, 'measure.0')}.",
            f"Heaviest file: {_largest(results)} ({_first(results, 'rank.0').split('  ')[0]} lines); "
            f"definitions beside it: {_first(results, 'open.1')}.",
            f"It leans on `{_word(results)}`: {found('follow.0')}." if _word(results) else "It leans on no name.",
            f"Failure handling: {found('failures.0')}.",
            f"Left for later: {_first(results, 'loose.0')}.",
        ]
    )


def _first(results: Results, call: str) -> str:
    return next(iter(_rows(results, call)), "nothing found")
