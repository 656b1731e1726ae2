"""The MongoDB server: a replica set of one, whose only member moves to whichever port is free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph_session_bridge.embedded.binaries import find_mongod
from langgraph_session_bridge.embedded.layout import REPLICA_SET, Layout
from langgraph_session_bridge.embedded.ports import LOOPBACK, accepts
from langgraph_session_bridge.embedded.probing import Binary
from langgraph_session_bridge.embedded.servers import Server

if TYPE_CHECKING:
    from pymongo import MongoClient

_TIMEOUTS: dict[str, Any] = {
    "serverSelectionTimeoutMS": 2000,
    "connectTimeoutMS": 1000,
    "socketTimeoutMS": 10000,
}
_NOT_YET_INITIALIZED = 94


def command(layout: Layout, binary: Binary, port: int) -> list[str]:
    """The command line: loopback only, no Unix socket (its path could be too long), small cache and oplog."""
    options = {
        "dbpath": str(layout.files_of("mongodb")),
        "port": str(port),
        "bind_ip": LOOPBACK,
        "replSet": REPLICA_SET,
        "oplogSize": "128",
        "wiredTigerCacheSizeGB": "0.25",
        "logpath": str(layout.log_of("mongodb")),
        "setParameter": "diagnosticDataCollectionEnabled=false",
    }
    words = (word for name, value in options.items() for word in (f"--{name}", value))
    return [str(binary.path), *words, "--logappend", "--nounixsocket"]


def advance(port: int, pid: int) -> bool:
    """One step from a bare process to a writable primary that lists itself under this port."""
    # Imported here: joining running servers must not pay for it, and while mongod starts it costs nothing.
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    if not accepts(port):
        return False
    client: MongoClient[dict[str, Any]] = MongoClient(LOOPBACK, port, directConnection=True, **_TIMEOUTS)
    try:
        # A stranger may listen on the port; it must not be reconfigured.
        if client.admin.command("serverStatus")["pid"] != pid:
            return False
        return _advance_replica_set(client, f"{LOOPBACK}:{port}")
    except PyMongoError:
        return False
    finally:
        client.close()


def _advance_replica_set(client: MongoClient[dict[str, Any]], host: str) -> bool:
    """Initiate the set, or move its member to `host`, or see that it is done."""
    hello = client.admin.command("hello")
    if hello.get("isWritablePrimary") and hello.get("me") == host:
        return True
    config = _config(client)
    if config is None:
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]})
    elif config["members"][0]["host"] != host:
        config["members"][0]["host"] = host
        config["version"] += 1
        # Forced, since under its former address the member is not part of its own set.
        client.admin.command("replSetReconfig", config, force=True)
    return False


def _config(client: MongoClient[dict[str, Any]]) -> dict[str, Any] | None:
    from pymongo.errors import OperationFailure

    try:
        config: dict[str, Any] = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            return None
        raise
    return config


MONGODB = Server(name="mongodb", find=find_mongod, command=command, advance=advance)
