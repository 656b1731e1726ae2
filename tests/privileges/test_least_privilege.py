"""The accounts in docs/operations.md are enough for what they are for, and for nothing else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.harness import NEVER, check_thread, run_steps, wait_until
from pymongo import MongoClient
from pymongo import errors as mongo_errors
from redis import Redis
from redis import exceptions as redis_errors

from langgraph_session_bridge.storage.mongodb_records import SESSION_INDEXES, SESSIONS_BY_FIELD

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
)
from .guarded import DATABASE, GuardedServers


def test_the_setup_account_makes_the_collection_and_its_indexes(guarded: GuardedServers) -> None:
    guarded.root_mongodb.drop_database(DATABASE)
    guarded.root_redis.flushall()
    assert call(guarded, SETUP, "health").exit_code == 0
    database = guarded.root_mongodb[DATABASE]
    assert set(database["checkpoints"].index_information()) == {
        "_id_",
        "every_checkpoint",
        "checkpoints_of_runs",
        "stones",
    }
    of_records = {"_id_", "records_of_thread", "open_records", "attempts", *SESSION_INDEXES, *SESSIONS_BY_FIELD}
    assert set(database["records"].index_information()) == of_records
    for name in ("checkpoints", "records"):
        stored = database.command("collStats", name)["wiredTiger"]["creationString"]
        assert "block_compressor=zstd" in stored


@pytest.mark.parametrize("create_indexes", [True, False])
def test_an_application_does_all_that_it_does(
    open_saver: OpenSaver, caplog: pytest.LogCaptureFixture, create_indexes: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saver = open_saver(APPLICATION, create_indexes=create_indexes, ack="aof")
        use_as_application(saver, lambda: refusals_in(caplog))
        saver.close()
    assert refusals_in(caplog) == []


def test_a_flusher_does_all_that_it_does(
    guarded: GuardedServers, open_saver: OpenSaver, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saver = open_saver(FLUSHER, flush_poll_s=0.05)
        use_as_flusher(guarded, saver, open_saver(APPLICATION, **NEVER), lambda: refusals_in(caplog))
        saver.close()
    assert refusals_in(caplog) == []


def test_the_flusher_process_empties_the_journal(guarded: GuardedServers, open_saver: OpenSaver) -> None:
    leave = open_saver(APPLICATION, **NEVER)
    run_steps(leave, "t", 0, 3)
    uri, url = addresses(guarded, FLUSHER)
    words = [Path(sys.executable).with_name("session-bridge"), "flusher", "--for", "60"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "LSB_MONGODB_URI": uri,
        "LSB_REDIS_URL": url,
    }
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: not leave.stats().unflushed_entries or process.poll() is not None, "flushed")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert "unflushed     0 entries" in out
    check_thread(leave, "t", 3)


@pytest.mark.parametrize("words", ["doctor", "health", "stats", "drain", "dead list", "dead redrive", "dead discard t"])
def test_the_operators_commands_work_under_the_flushers_account(
    guarded: GuardedServers, open_saver: OpenSaver, words: str
) -> None:
    run_steps(open_saver(APPLICATION, **NEVER), "t", 0, 1)
    outcome = call(guarded, FLUSHER, *words.split())
    assert (outcome.exit_code, outcome.stderr) == (0, ""), outcome.output


def test_doctor_works_under_the_applications_account(guarded: GuardedServers) -> None:
    outcome = call(guarded, APPLICATION, "doctor")
    assert (outcome.exit_code, outcome.stderr) == (0, ""), outcome.output


# What no account may do


@pytest.mark.parametrize("user", [APPLICATION, FLUSHER])
@pytest.mark.parametrize(
    "command",
    [
        *("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG SET maxmemory 1", "ACL LIST", "SHUTDOWN", "SCRIPT FLUSH", "MONITOR"),
        *("SET other:key 1", "HSET lsb2:{s000}:header ep 1", "GET other:key", "DEL other:key"),
        *("EVAL return(redis.call('GET','other:key')) 0", "EVAL return(redis.call('FLUSHALL')) 0"),
    ],
)
def test_redis_refuses_all_but_the_journals_keys_and_commands(guarded: GuardedServers, user: str, command: str) -> None:
    guarded.root_redis.set("other:key", "kept")
    with Redis.from_url(addresses(guarded, user)[1]) as client, pytest.raises(redis_errors.ResponseError) as raised:
        client.execute_command(*command.split(" "))
    assert re.search("permission|can't access", str(raised.value)), raised.value
    assert guarded.root_redis.get("other:key") == "kept"


MONGODB_REFUSES: dict[str, Callable[[MongoClient[dict[str, Any]]], Any]] = {
    "drop the database": lambda client: client.drop_database(DATABASE),
    "drop a collection": lambda client: client[DATABASE].drop_collection("checkpoints"),
    "drop an index": lambda client: client[DATABASE]["checkpoints"].drop_index("every_checkpoint"),
    "create an index": lambda client: client[DATABASE]["checkpoints"].create_index("x"),
    "create a collection": lambda client: client[DATABASE].create_collection("other"),
    "write another collection": lambda client: client[DATABASE]["other"].insert_one({}),
    "write another database": lambda client: client["other"]["checkpoints"].insert_one({}),
    "read users": lambda client: client["admin"]["system.users"].find_one(),
    "create a user": lambda client: client["admin"].command("createUser", "x", pwd="x", roles=["root"]),
    "forget the deployment": lambda client: client[DATABASE]["meta"].delete_one({"_id": "deployment"}),
    "change the validator": lambda client: client[DATABASE].command("collMod", "checkpoints", validator={}),
}
"""What neither application nor flusher may do."""
READING = {
    "read conversations": lambda client: client[DATABASE]["checkpoints"].find_one(),
    "read threads": lambda client: client[DATABASE]["threads"].find_one(),
    "delete conversations": lambda client: client[DATABASE]["checkpoints"].delete_many({}),
}
"""What the flusher may not do, besides."""


@pytest.mark.parametrize(
    ("user", "what"),
    [*((user, what) for user in (APPLICATION, FLUSHER) for what in MONGODB_REFUSES), *((FLUSHER, w) for w in READING)],
)
def test_mongodb_refuses_all_but_the_archives_documents(guarded: GuardedServers, user: str, what: str) -> None:
    with MongoClient(addresses(guarded, user)[0]) as client, pytest.raises(mongo_errors.OperationFailure) as raised:
        {**MONGODB_REFUSES, **READING}[what](client)
    assert raised.value.code == 13
