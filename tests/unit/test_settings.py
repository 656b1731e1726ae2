"""Settings: what is wrong is named, and so is what there is."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.settings import Settings


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"flush_interval": 1}, "flush_interval"),
        ({"ttl": {"default_ttl": 60}}, "ttl"),
        ({"ack": "always"}, "ack"),
        ({"driver": "mongoengine"}, "driver"),
        ({"shards": 0}, "shards"),
        ({"shards": 1025}, "shards"),
        ({"prefix": "a:b"}, "prefix"),
        ({"prefix": "{x}"}, "prefix"),
        ({"prefix": ""}, "prefix"),
        ({"prefix": "p" * 33}, "prefix"),
        ({"database": ""}, "database"),
        ({"database": "d" * 64}, "database"),
        ({"put_timeout_s": 0}, "put_timeout_s"),
        ({"operation_timeout_s": -1}, "operation_timeout_s"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"backlog_max_entries": "many"}, "backlog_max_entries"),
        ({"max_value_bytes": 0}, "max_value_bytes"),
        ({"filter_keys": 7}, "filter_keys"),
    ],
)
def test_what_is_wrong_is_named_with_what_there_is(values: dict[str, Any], named: str) -> None:
    for create in (Settings.create, lambda **v: SessionBridgeSaver.from_conn_string("mongodb://localhost", **v)):
        with pytest.raises(ConfigurationError) as raised:
            create(**values)
        message = str(raised.value)
        assert message.startswith(f"Invalid settings ({named}: ")
        assert all(name in message for name in Settings.model_fields), "the known settings are listed"


def test_several_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"shards: .*; .*nonsense: "):
        Settings.create(shards=0, nonsense=1)


def test_settings_come_from_the_environment_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSB_ACK", "majority")
    monkeypatch.setenv("LSB_SHARDS", "4")
    assert (Settings.create().ack, Settings.create().shards) == ("majority", 4)
    assert Settings.create(ack="aof").ack == "aof"


def test_a_wrong_environment_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSB_SHARDS", "many")
    with pytest.raises(ConfigurationError, match="shards: "):
        Settings.create()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.create().shards = 3


@pytest.mark.parametrize("pattern", ["(", "[a"])
def test_a_redaction_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="redact_keys"):
        SessionBridgeSaver.from_conn_string("mongodb://localhost", redact_keys=pattern)
