"""TLS and credentials in the addresses reach the drivers, and what is wrong with them is named."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from faults.harness import HASTY, check_thread, run_steps
from pymongo import MongoClient

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded.binaries import find_mongod
from langgraph_session_bridge.errors import ConfigurationError, UnavailableError

from .certificates import Certificates, make_certificates
from .processes import LOOPBACK, Folder, Process, free_ports
from .valkey import add_valkey, ask

PASSWORD = "s3cret/:@"
QUOTED = "s3cret%2F%3A%40"


class TlsFront:
    """Speaks TLS in front of a server that was built without it, as a proxy beside it would."""

    def __init__(self, certificates: Certificates, port: int) -> None:
        self._context, self._target = certificates.context(), port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._listener.accept()[:1], daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(plain, server_side=True) as client,
            socket.create_connection((LOOPBACK, self._target)) as server,
        ):
            client.settimeout(0.005)  # one thread per connection: an SSL socket is not for two at once
            server.settimeout(0.005)
            while _passed(client, server) and _passed(server, client):
                pass

    def close(self) -> None:
        self._listener.close()


def _passed(source: socket.socket, sink: socket.socket) -> bool:
    """Passes on what is there; false at the end."""
    try:
        data = source.recv(1 << 20)
    except TimeoutError:
        return True
    sink.settimeout(10)
    sink.sendall(data)
    sink.settimeout(0.005)
    return bool(data)


class Secured:
    """A mongod and a Valkey that want TLS and a password."""

    def __init__(self) -> None:
        self._folder = Folder()
        try:
            self.certificates = make_certificates(self._folder.path)
            mongod, valkey = self._mongod(), add_valkey(self._folder, free_ports(1)[0])
            self._folder.start([mongod, valkey])
            self._make_users(mongod, valkey)
            self._front = TlsFront(self.certificates, valkey.port)
        except BaseException:
            self._folder.close()
            raise
        self.mongodb_port, self.redis_port = mongod.port, self._front.port

    def _mongod(self) -> Process:
        port = free_ports(1)[0]
        data = self._folder.path / str(port) / "db"
        data.mkdir(parents=True)
        words = ["--dbpath", str(data), "--port", str(port), "--bind_ip", LOOPBACK, "--nounixsocket", "--auth"]
        words += ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(self.certificates.server)]
        words += ["--tlsCAFile", str(self.certificates.authority), "--tlsAllowConnectionsWithoutCertificates"]
        words += ["--wiredTigerCacheSizeGB", "0.25"]
        return self._folder.add(str(port), [str(find_mongod().path), *words], port)

    def _make_users(self, mongod: Process, valkey: Process) -> None:
        client: MongoClient[dict[str, Any]] = MongoClient(
            LOOPBACK, mongod.port, tls=True, tlsCAFile=str(self.certificates.authority)
        )
        with client:
            roles = ["readWriteAnyDatabase", "dbAdminAnyDatabase"]
            client.admin.command("createUser", "agent", pwd=PASSWORD, roles=roles)
        ask(valkey, "ACL", "SETUSER", "agent", "on", f">{PASSWORD}", "~*", "&*", "+@all")
        ask(valkey, "ACL", "SETUSER", "default", "off")

    def mongodb_uri(self, user: str = f"agent:{QUOTED}@", options: str = "tls=true&tlsCAFile={ca}") -> str:
        query = options.format(ca=self.certificates.authority)
        return f"mongodb://{user}{LOOPBACK}:{self.mongodb_port}/?{query}"

    def redis_url(self, user: str = f"agent:{QUOTED}@", options: str = "ssl_ca_certs={ca}") -> str:
        query = options.format(ca=self.certificates.authority)
        return f"rediss://{user}{LOOPBACK}:{self.redis_port}/0?{query}"

    def close(self) -> None:
        self._front.close()
        self._folder.close()


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    servers = Secured()
    yield servers
    servers.close()


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
def test_what_the_addresses_say_reaches_the_drivers(secured: Secured, driver: str) -> None:
    name = f"tls-{driver}"
    addresses = (secured.mongodb_uri(), secured.redis_url())
    with SessionBridgeSaver.from_conn_string(*addresses, database=name, prefix=name, driver=driver) as saver:
        run_steps(saver, "t", 0, 4)
        check_thread(saver, "t", 4)
        assert saver.health().verdict == "ok"
        assert saver.stats().counters.get("written_through", 0) == 0


@pytest.mark.parametrize(
    ("which", "given", "error", "words"),
    [
        ("mongodb", {"user": "agent:wrong@"}, ConfigurationError, "MongoDB refused.*account's password and rights"),
        ("mongodb", {"user": ""}, ConfigurationError, "MongoDB refused.*requires authentication"),
        ("mongodb", {"options": "tls=true"}, UnavailableError, "certificate verify failed"),
        ("mongodb", {"options": ""}, UnavailableError, "MongoDB did not answer"),
        ("redis", {"user": "agent:wrong@"}, ConfigurationError, "Redis refused the credentials"),
        ("redis", {"user": ""}, ConfigurationError, "Redis wants a user and password"),
        ("redis", {"options": ""}, UnavailableError, "certificate verify failed"),
        ("redis", {"options": "ssl_ca_certs={ca}&nonsense=1"}, ConfigurationError, "nonsense"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else "",
)
def test_what_is_wrong_is_named(
    secured: Secured, which: str, given: dict[str, str], error: type[Exception], words: str
) -> None:
    addresses = {"mongodb": secured.mongodb_uri(), "redis": secured.redis_url()}
    addresses[which] = getattr(secured, {"mongodb": "mongodb_uri", "redis": "redis_url"}[which])(**given)
    saver = SessionBridgeSaver.from_conn_string(*addresses.values(), database="wrong", prefix="wrong", **HASTY)
    with pytest.raises(error, match=words) as caught:
        saver.setup()
    assert "wrong@" not in str(caught.value) and PASSWORD not in str(caught.value)
    saver.close()
