"""A Valkey primary with two replicas, and three sentinels that watch them."""

from __future__ import annotations

from faults.harness import wait_until
from redis.exceptions import RedisError

from .processes import LOOPBACK, Folder, Process, free_ports
from .valkey import add_sentinel, add_valkey, ask, client_of

SERVICE = "journal"


class Watched:
    """Whoever is primary changes in the course of the tests."""

    def __init__(self) -> None:
        self._folder = Folder()
        try:
            ports = free_ports(6)
            first = str(ports[0])
            self.servers = [add_valkey(self._folder, ports[0])]
            self.servers += [add_valkey(self._folder, port, replicaof=f"{LOOPBACK} {first}") for port in ports[1:3]]
            self._folder.start(self.servers)
            config = (
                f"sentinel monitor {SERVICE} {LOOPBACK} {first} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} 700\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
                f"sentinel parallel-syncs {SERVICE} 2\n"
            )
            self.sentinels = [add_sentinel(self._folder, port, config) for port in ports[3:]]
            self._wait_for_replicas()
            self._folder.start(self.sentinels)
            for sentinel in self.sentinels:  # Sentinel looks at who is what every ten seconds, unless told otherwise
                ask(sentinel, "SENTINEL", "DEBUG", "info-period", "300", "publish-period", "300")
            self.settle()
        except BaseException:
            self.close()
            raise
        hosts = ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/{SERVICE}"

    def _wait_for_replicas(self) -> None:
        wait_until(lambda: self._connected(self.servers[0]) == 2, "two replicas")

    def _connected(self, server: Process) -> int:
        """Replicas that are in step with a primary; -1 if it is none, or does not answer."""
        try:
            with client_of(server) as client:
                info = client.info("replication")
        except RedisError:
            return -1
        if info["role"] != "master":
            return -1
        return sum(str(row).startswith("slave") and info[row]["state"] == "online" for row in info if row[-1].isdigit())

    def primary(self) -> Process:
        """The primary that the sentinels name."""
        _, port = ask(self.sentinels[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    def settle(self) -> None:
        """One primary with two replicas, and sentinels that know each other and agree, whatever happened before."""
        self._folder.revive()

        def settled() -> bool:
            named = set()
            for sentinel in self.sentinels:
                with client_of(sentinel) as client:
                    state = client.execute_command("SENTINEL", "MASTER", SERVICE)
                state = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
                if (
                    int(state["num-other-sentinels"]) != 2
                    or int(state["num-slaves"]) != 2
                    or state["flags"] != "master"
                ):
                    return False
                named.add(int(state["port"]))
            return len(named) == 1 and self._connected(self.primary()) == 2

        wait_until(settled, "a primary with two replicas, named by three sentinels", 40)

    def flush(self) -> None:
        ask(self.primary(), "FLUSHALL")

    def close(self) -> None:
        self._folder.close()
