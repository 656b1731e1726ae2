"""No documented right is superfluous, and one that is missing is told in a sentence, before anything is half done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

import pytest
from click.testing import Result
from contract.build import at
from faults.harness import NEVER, check_thread, put_step, run_steps

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import ConfigurationError

from .accounts import (
    APPLICATION,
    FLUSHER,
    SETUP,
    OpenSaver,
    addresses,
    call,
    refusals_in,
    use_as_application,
    use_as_flusher,
    validator,
)
from .guarded import DATABASE, GuardedServers, mongodb_commands, redis_commands

TOLD = r"^{} refused the operation: .+\. Check the account's .*docs/operations\.md says which it needs\.$"
NOT_PROVEN_AT_THE_START = {"ping", "evalsha", "config|get"}
"""For coming back after an outage, for calling scripts, and what may be left out: without them nothing is half done."""
MONGODB_RIGHTS = [
    (command["createRole"], privilege["resource"]["collection"], action)
    for command in mongodb_commands()
    if "createRole" in command
    for privilege in command["privileges"]
    for action in privilege["actions"]
]
REDIS_RIGHTS = [
    (words[2], word[1:])
    for words in redis_commands()
    for word in words
    if word.startswith("+") and word[1:] not in NOT_PROVEN_AT_THE_START
]


@pytest.mark.parametrize(
    ("role", "collection", "action"), [right for right in MONGODB_RIGHTS if right[0] != "lsbSetup"]
)
def test_each_right_in_mongodb_is_needed(
    guarded: GuardedServers,
    open_saver: OpenSaver,
    caplog: pytest.LogCaptureFixture,
    role: str,
    collection: str,
    action: str,
) -> None:
    user = APPLICATION if role == "lsbApplication" else FLUSHER
    with guarded.without_mongodb_right(role, collection, action):
        told = _refusal(user, guarded, open_saver, caplog)
    assert re.search(TOLD.format("MongoDB"), told), told
    assert f'on "{collection}" (code 13)' in told


def _refusal(user: str, guarded: GuardedServers, open_saver: OpenSaver, caplog: pytest.LogCaptureFixture) -> str:
    """What one is told who does everything that an account is for."""
    try:
        if user == APPLICATION:
            use_as_application(open_saver(APPLICATION), lambda: refusals_in(caplog))
        else:
            leave = open_saver(APPLICATION, **NEVER)
            use_as_flusher(guarded, open_saver(FLUSHER, flush_poll_s=0.05), leave, lambda: refusals_in(caplog))
    except ConfigurationError as error:
        return str(error)
    if found := refusals_in(caplog):
        return found[0].partition("tried again: ")[2]
    return _red_line(call(guarded, user, "doctor"))


def _red_line(outcome: Result) -> str:
    assert outcome.exit_code in (0, 2), outcome.output
    return outcome.stderr.removeprefix("error: ").strip()


@pytest.fixture
def unset_database(guarded: GuardedServers) -> Iterator[None]:
    """A database that is not set up yet, and is so in the end."""
    guarded.root_mongodb.drop_database(DATABASE)
    yield
    guarded.forget_everything()
    guarded.root_mongodb.drop_database(DATABASE)
    assert call(guarded, SETUP, "health").exit_code == 0


@pytest.mark.usefixtures("unset_database")
@pytest.mark.parametrize(
    ("role", "collection", "action"), [right for right in MONGODB_RIGHTS if right[0] == "lsbSetup"]
)
def test_each_right_to_set_up_is_needed(guarded: GuardedServers, role: str, collection: str, action: str) -> None:
    with guarded.without_mongodb_right(role, collection, action):
        told = _red_line(call(guarded, SETUP, "health"))
    if action == "createCollection":  # it goes on, with files that are compressed as by default
        stored = guarded.root_mongodb[DATABASE].command("collStats", collection)["wiredTiger"]["creationString"]
        assert "block_compressor=zstd" not in stored
    elif action == "createIndex":
        assert re.search(r"may not create indexes.*set the database up once.*create_indexes=False", told)
    else:
        assert re.search(TOLD.format("MongoDB"), told), told


@pytest.mark.usefixtures("unset_database")
def test_an_application_that_may_not_create_indexes_works_without_them(open_saver: OpenSaver) -> None:
    with pytest.raises(ConfigurationError, match=r"may not create indexes.*create_indexes=False"):
        open_saver(APPLICATION).setup()
    saver = open_saver(APPLICATION, create_indexes=False)
    run_steps(saver, "t", 0, 2)
    check_thread(saver, "t", 2)
    assert len(list(saver.list(None))) == 2


@pytest.mark.parametrize(("user", "right"), REDIS_RIGHTS)
def test_each_right_in_redis_is_proven_before_anything_is_written(
    guarded: GuardedServers, open_saver: OpenSaver, user: str, right: str
) -> None:
    with (
        guarded.without_redis_right(user, right),
        pytest.raises(ConfigurationError, match=TOLD.format("Redis")) as told,
    ):
        open_saver(user).setup()
    assert f"'{right}'" in str(told.value)
    assert guarded.root_redis.keys("*") == []


def test_the_proof_knows_every_command_of_the_scripts() -> None:
    scripts = resources.files("langgraph_session_bridge.storage") / "scripts"
    called = {file.name: set(re.findall(r"redis\.call\('(\w+)'", file.read_text())) for file in scripts.iterdir()}
    proven = called.pop("rights.lua")
    assert len(called) > 10
    assert set().union(*called.values()) <= proven


def test_who_may_not_ask_whether_redis_is_back_is_told(guarded: GuardedServers, open_saver: OpenSaver) -> None:
    with guarded.without_redis_right(APPLICATION, "ping"):
        saver = open_saver(APPLICATION, **NEVER)
        saver.setup()
        saver._runtime.shared.breaker.trip()
        with pytest.raises(ConfigurationError, match=TOLD.format("Redis")):
            saver.health()


def test_rights_that_are_taken_away_meanwhile_are_told_and_nothing_is_lost(
    guarded: GuardedServers, open_saver: OpenSaver
) -> None:
    saver = open_saver(APPLICATION, **NEVER)
    run_steps(saver, "t", 0, 2)
    with guarded.without_redis_right(APPLICATION, "evalsha"):
        for work in (lambda: put_step(saver, "t", 2), lambda: saver.get_tuple(at("t")), saver.flush):
            with pytest.raises(ConfigurationError, match=TOLD.format("Redis")):
                work()
    with guarded.without_redis_right(APPLICATION, "xlen"):
        health = saver.health()
        assert health.verdict == "degraded"
        assert health.redis is not None
        assert "Redis refused the operation" in health.redis.error
    for action in ("insert", "find"):
        with (
            guarded.without_mongodb_right("lsbApplication", "checkpoints", action),
            pytest.raises(ConfigurationError, match=TOLD.format("MongoDB")),
        ):
            list(saver.list(at("t")))
    run_steps(saver, "t", 2, 3)
    check_thread(saver, "t", 3)


@pytest.mark.parametrize("when", ["from the start", "meanwhile"])
def test_refused_documents_are_not_lost_by_a_flusher_that_may_not_park_them(
    guarded: GuardedServers, open_saver: OpenSaver, when: str
) -> None:
    application = open_saver(APPLICATION, **NEVER)
    run_steps(application, "dead", 0, 2)
    saver = open_saver(FLUSHER, **NEVER)
    if when == "meanwhile":
        saver.setup()
    with validator(guarded, {"t": {"$ne": "dead"}}):
        with guarded.without_redis_right(FLUSHER, "xadd"), pytest.raises(ConfigurationError, match="'xadd'"):
            saver.flush()
        saver.flush()
        assert len(saver.list_dead()) == 4
    saver.setup()
    with guarded.without_redis_right(FLUSHER, "xadd"), pytest.raises(ConfigurationError, match="'xadd'"):
        saver.redrive()
    assert len(saver.list_dead()) == 4
    assert saver.redrive() == 4
    check_thread(application, "dead", 2)


@pytest.mark.parametrize("action", ["insert", "update"])
def test_refusals_do_not_quote_what_was_put(guarded: GuardedServers, open_saver: OpenSaver, action: str) -> None:
    saver = open_saver(APPLICATION, ack="majority")
    saver.setup()
    if action == "update":
        put_step(saver, "private", 0)
    with (
        guarded.without_mongodb_right("lsbApplication", "checkpoints", action),
        pytest.raises(ConfigurationError) as told,
    ):
        put_step(saver, "private", 0)
    assert "private" not in str(told.value)
    assert len(str(told.value)) < 250


@pytest.mark.parametrize("tier", ["MongoDB", "Redis"])
def test_a_wrong_password_is_a_matter_of_configuration(guarded: GuardedServers, tier: str) -> None:
    uri, url = addresses(guarded, APPLICATION)
    wrong = {
        "MongoDB": (guarded.mongodb_uri(APPLICATION, "no"), url),
        "Redis": (uri, guarded.redis_url(APPLICATION, "no")),
    }
    saver = SessionBridgeSaver.from_conn_string(*wrong[tier])
    with pytest.raises(ConfigurationError, match=rf"{tier} refused the .*password"):
        saver.setup()
    saver.close()
