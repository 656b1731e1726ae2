"""A MongoDB replica set of three."""

from __future__ import annotations

from typing import Any

from faults.harness import wait_until
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from langgraph_session_bridge.embedded.binaries import find_mongod

from .processes import LOOPBACK, Folder, Process, free_ports

_NAME = "rs0"


class ReplicaSet:
    """Three mongods with fast elections. The first to be primary is `members[0]`; no member is preferred later."""

    def __init__(self) -> None:
        self._folder = Folder()
        try:
            self.members = [self._member(port) for port in free_ports(3)]
            self._folder.start(self.members)
            self._initiate()
        except BaseException:
            self.close()
            raise
        hosts = ",".join(f"{LOOPBACK}:{member.port}" for member in self.members)
        self.uri = f"mongodb://{hosts}/?replicaSet={_NAME}"

    def _member(self, port: int) -> Process:
        folder = self._folder.path / str(port)
        (folder / "db").mkdir(parents=True)
        options = {
            "dbpath": str(folder / "db"),
            "port": str(port),
            "bind_ip": LOOPBACK,
            "replSet": _NAME,
            "oplogSize": "64",
            "wiredTigerCacheSizeGB": "0.25",
            "setParameter": "diagnosticDataCollectionEnabled=false",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return self._folder.add(str(port), [str(find_mongod().path), *words, "--nounixsocket"], port)

    def _initiate(self) -> None:
        members = [{"_id": n, "host": f"{LOOPBACK}:{m.port}"} for n, m in enumerate(self.members)]
        settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}
        with self._direct(self.members[0]) as client:
            client.admin.command("replSetInitiate", {"_id": _NAME, "members": members, "settings": settings})
        self.settle()

    def _direct(self, member: Process) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            LOOPBACK, member.port, directConnection=True, serverSelectionTimeoutMS=500, socketTimeoutMS=1000
        )

    def client(self) -> MongoClient[dict[str, Any]]:
        return MongoClient(self.uri, serverSelectionTimeoutMS=15000)

    def states(self) -> dict[int, int]:
        """State by port, as the primary sees it; empty without one."""
        primary = self.primary()
        if primary is None:
            return {}
        with self._direct(primary) as client:
            rows = client.admin.command("replSetGetStatus")["members"]
        return {int(row["name"].partition(":")[2]): int(row["state"]) for row in rows}

    def primary(self, besides: Process | None = None) -> Process | None:
        for member in self.members:
            if member is not besides and self._says_it_is_primary(member):
                return member
        return None

    def _says_it_is_primary(self, member: Process) -> bool:
        try:
            with self._direct(member) as client:
                return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False

    def settle(self) -> None:
        """One primary, two secondaries, whatever happened before."""
        self._folder.revive()

        def settled() -> bool:
            try:
                return sorted(self.states().values()) == [1, 2, 2]
            except PyMongoError:
                return False

        wait_until(settled, "a primary and two secondaries", 40)

    def close(self) -> None:
        self._folder.close()
