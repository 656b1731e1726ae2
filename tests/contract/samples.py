"""Values that JSON cannot hold, importable by name so that the stock serializer can rebuild them."""

from __future__ import annotations

import ipaddress
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.types import Command, Interrupt, Overwrite, Send
from pydantic import BaseModel


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Mode(StrEnum):
    FAST = "fast"


class Point(NamedTuple):
    x: int
    y: str


@dataclass
class Note:
    text: str
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    n: int


class Address(BaseModel):
    street: str


class Person(BaseModel):
    name: str
    address: Address
    born: datetime | None = None


class Tags(list[str]):
    """A list that is not quite a list."""


MESSAGES: list[Any] = [
    SystemMessage("be brief", id="s"),
    HumanMessage("hi", id="h", name="user", additional_kwargs={"k": [1]}),
    HumanMessage([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}], id="i"),
    AIMessage("", id="a", tool_calls=[{"name": "add", "args": {"a": 1, "b": [2]}, "id": "call-1"}]),
    AIMessage("done", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    AIMessageChunk("chunk", id="chunk"),
    ToolMessage("3", tool_call_id="call-1", id="t", artifact={"rows": [1, 2]}, status="error"),
    RemoveMessage(id="h"),
]

VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "int": 1,
    "negative": -1,
    "big-int": 2**63 - 1,
    "float": 1.0,
    "nan-free-float": 1e308,
    "infinity": float("inf"),
    "string": "é \U0001f600 \0 $a.b",
    "datetime-utc": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "datetime-offset": datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    "datetime-zone": datetime(2026, 7, 2, tzinfo=ZoneInfo("Europe/Berlin")),
    "datetime-naive": datetime(2026, 1, 2, 3, 4, 5, 678901),
    "date": date(2026, 1, 2),
    "time": time(3, 4, 5, 6),
    "timedelta": timedelta(days=1, microseconds=3),
    "zoneinfo": ZoneInfo("Asia/Tokyo"),
    "set": {1, 2, 3},
    "set-of-tuples": {(1, 2), (3, 4)},
    "frozenset": frozenset({"a"}),
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"\x00\xff"),
    "bytes-in-dict": {"b": b"\x00", "a": bytearray(b"\x01")},
    "uuid": UUID(int=7),
    "decimal": Decimal("1.10"),
    "path": Path("/a/b"),
    "pattern": re.compile("a+", re.IGNORECASE),
    "ip": ipaddress.ip_address("::1"),
    "enum": Colour.RED,
    "int-enum": Level.HIGH,
    "str-enum": Mode.FAST,
    "pydantic": Person(name="Ada", address=Address(street="Main"), born=datetime(1815, 12, 10, tzinfo=UTC)),
    "dataclass": Note("n", ["a"]),
    "frozen-dataclass": Frozen(1),
    "namedtuple": Point(1, "a"),
    "tuple": (1, "a"),
    "tuple-in-list": [(1, 2), [(3,)]],
    "deque": deque([1, 2]),
    "deque-in-list": [deque([1])],
    "list-subclass": Tags(["a"]),
    "nested": {"a": [{"b": ({1}, [Colour.RED])}], "c": {"d": {"e": []}}},
    "int-keys": {1: "a", 2: {3: "b"}},
    "mixed-list": [1, "a", None, {"x": 1}, [2], b"3", 4.0, True],
    "empty-list": [],
    "empty-dict": {},
    "empty-set": set(),
    "empty-bytes": b"",
    "messages": MESSAGES,
    "messages-in-dict": {"inbox": MESSAGES[:2], "n": 1},
    "messages-and-others": [MESSAGES[1], "text", 1, ("role", "text"), {"role": "user", "content": "x"}],
    "message-alone": MESSAGES[3],
    "document": Document("text", metadata={"n": 1}),
    "send": Send("node", {"arg": [1]}),
    "sends": [Send("node", {"messages": MESSAGES[:1]})],
    "command": Command(update={"a": 1}, goto="node"),
    "interrupts": (Interrupt(value={"ask": "?"}, id="abc"),),
    "overwrite": Overwrite(value=[1]),
    "exception-free-error": "ValueError('x')",
}
