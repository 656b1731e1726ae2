"""A mongod and a Valkey that ask who one is, with the accounts that the documentation tells operators to create."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from pymongo import MongoClient
from pymongo import errors as mongo_errors
from redis import Redis
from redis import exceptions as redis_errors

from langgraph_session_bridge.embedded.binaries import find_mongod, find_redis_server
from langgraph_session_bridge.embedded.ports import LOOPBACK, free_port

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
DATABASE = "langgraph"
_ROOT, _ROOT_PASSWORD = "root", "root-password"
_WITHIN_S = 30.0


def section() -> str:
    """The documentation's section on rights."""
    _, _, rest = PAGE.read_text().partition("\n## Least privilege\n")
    assert rest, f"{PAGE} has no section 'Least privilege'"
    return rest.partition("\n## ")[0]


def mongodb_commands() -> list[dict[str, Any]]:
    """`db.createRole(…)` and `db.createUser(…)` of the page, as commands of the server."""
    found = re.findall(r"^db\.(createRole|createUser)\((\{.*?\})\)$", section(), re.DOTALL | re.MULTILINE)
    parsed = [(verb, json.loads(body)) for verb, body in found]
    return [{verb: body.pop("role" if verb == "createRole" else "user"), **body} for verb, body in parsed]


def redis_commands() -> list[list[str]]:
    """`ACL SETUSER` lines of the page, in words."""
    return [shlex.split(line) for line in re.findall(r"^ACL SETUSER .*$", section(), re.MULTILINE)]


class GuardedServers:
    """Both servers, with authentication, and the documented accounts on them."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="lsbp", dir="/tmp"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._mongodb_port, self._redis_port = free_port(), free_port()
        self._start_mongodb()
        self._start_redis()
        self.root_mongodb: MongoClient[dict[str, Any]] = self._mongodb_of_root()
        self.root_redis = Redis(
            host=LOOPBACK, port=self._redis_port, username=_ROOT, password=_ROOT_PASSWORD, decode_responses=True
        )
        self._wait(self.root_redis.ping, "Valkey answers")

    def create_accounts(self) -> None:
        """Does what the page says."""
        for command in mongodb_commands():
            self.root_mongodb.admin.command(command)
        for words in redis_commands():
            self.root_redis.execute_command(*words)

    def mongodb_uri(self, user: str, password: str) -> str:
        address = f"{LOOPBACK}:{self._mongodb_port}/?replicaSet=guarded"
        return f"mongodb://{quote_plus(user)}:{quote_plus(password)}@{address}"

    def redis_url(self, user: str, password: str) -> str:
        return f"redis://{quote_plus(user)}:{quote_plus(password)}@{LOOPBACK}:{self._redis_port}"

    def close(self) -> None:
        with contextlib.suppress(AttributeError):
            self.root_mongodb.close()
            self.root_redis.close()
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self._path, ignore_errors=True)

    @contextlib.contextmanager
    def without_redis_right(self, user: str, command: str) -> Iterator[None]:
        """Takes one command away from an account for a while."""
        (documented,) = [words for words in redis_commands() if words[2] == user]
        self.root_redis.execute_command("ACL", "SETUSER", user, f"-{command}")
        try:
            yield
        finally:
            self.root_redis.execute_command(*documented)

    @contextlib.contextmanager
    def without_mongodb_right(self, role: str, collection: str, action: str) -> Iterator[None]:
        """Takes one action on one collection away from a role for a while."""
        (documented,) = [command for command in mongodb_commands() if command.get("createRole") == role]
        less = copy.deepcopy(documented["privileges"])
        (privilege,) = [one for one in less if one["resource"]["collection"] == collection]
        privilege["actions"].remove(action)
        self.root_mongodb.admin.command("updateRole", role, privileges=less)
        try:
            yield
        finally:
            self.root_mongodb.admin.command("updateRole", role, privileges=documented["privileges"])

    def forget_everything(self) -> None:
        """Empties both servers but for the deployment's record and indexes."""
        self.root_redis.flushall()
        for name in ("checkpoints", "records", "threads"):
            self.root_mongodb[DATABASE][name].delete_many({})

    def _start(self, name: str, *words: str) -> None:
        with (self._path / f"{name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(words, stdout=log, stderr=log, cwd=self._path))

    def _start_mongodb(self) -> None:
        key = self._path / "key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        (self._path / "db").mkdir()
        options: Mapping[str, str] = {
            "dbpath": str(self._path / "db"),
            "port": str(self._mongodb_port),
            "bind_ip": LOOPBACK,
            "replSet": "guarded",
            "keyFile": str(key),
            "oplogSize": "16",
            "wiredTigerCacheSizeGB": "0.25",
            "setParameter": "diagnosticDataCollectionEnabled=false",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._start("mongodb", str(find_mongod().path), "--auth", "--nounixsocket", *words)

    def _start_redis(self) -> None:
        users = self._path / "users.acl"
        users.write_text(f"user default off\nuser {_ROOT} on >{_ROOT_PASSWORD} ~* &* +@all\n")
        options = {
            "port": str(self._redis_port),
            "bind": LOOPBACK,
            "dir": str(self._path),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "aclfile": str(users),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._start("redis", str(find_redis_server().path), *words)

    def _mongodb_of_root(self) -> MongoClient[dict[str, Any]]:
        """Makes a replica set of one, and its first user, as mongod permits from its own host while there is none."""
        direct: Any = {"host": LOOPBACK, "port": self._mongodb_port, "directConnection": True}
        with MongoClient(**direct, serverSelectionTimeoutMS=1000) as client:
            self._wait(lambda: client.admin.command("hello"), "mongod answers")
            member = {"_id": 0, "host": f"{LOOPBACK}:{self._mongodb_port}"}
            client.admin.command("replSetInitiate", {"_id": "guarded", "members": [member]})
            self._wait(lambda: client.admin.command("hello")["isWritablePrimary"], "mongod is primary")
            client.admin.command("createUser", _ROOT, pwd=_ROOT_PASSWORD, roles=["root"])
        return MongoClient(self.mongodb_uri(_ROOT, _ROOT_PASSWORD))

    def _wait(self, reached: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + _WITHIN_S
        while True:
            with contextlib.suppress(mongo_errors.PyMongoError, redis_errors.RedisError):
                if reached():
                    return
            assert time.monotonic() < deadline, f"not reached within {_WITHIN_S:g} s: {what}"
            assert all(process.poll() is None for process in self._processes), f"a server ended: {what}"
            time.sleep(0.02)


@contextlib.contextmanager
def guarded_servers() -> Iterator[GuardedServers]:
    servers = GuardedServers()
    try:
        yield servers
    finally:
        servers.close()
