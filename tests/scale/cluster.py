"""A Valkey Cluster of three primaries with a replica each, formed without a command line tool."""

from __future__ import annotations

from typing import Any

from faults.harness import wait_until
from redis.crc import key_slot
from redis.exceptions import RedisError

from .processes import LOOPBACK, Folder, Process, free_ports
from .valkey import add_valkey, ask, client_of

_SLOTS = [(0, 5460), (5461, 10922), (10923, 16383)]


class Cluster:
    """Six nodes; whoever is primary changes in the course of the tests."""

    def __init__(self) -> None:
        self._folder = Folder()
        try:
            ports = free_ports(12)
            self._buses = dict(zip(ports[:6], ports[6:], strict=True))
            self.nodes = [self._node(port) for port in ports[:6]]
            self._folder.start(self.nodes)
            self._form()
        except BaseException:
            self.close()
            raise
        self.url = "redis+cluster://" + ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes[:3])

    def _node(self, port: int) -> Process:
        return add_valkey(
            self._folder,
            port,
            cluster_enabled="yes",
            cluster_node_timeout="1000",
            cluster_config_file="nodes.conf",
            cluster_port=str(self._buses[port]),
            cluster_replica_validity_factor="0",
        )

    def _form(self) -> None:
        primaries, replicas = self.nodes[:3], self.nodes[3:]
        for number, (node, (low, high)) in enumerate(zip(primaries, _SLOTS, strict=True)):
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            ask(node, "CLUSTER", "ADDSLOTSRANGE", low, high)
        for node in self.nodes[1:]:
            ask(primaries[0], "CLUSTER", "MEET", LOOPBACK, node.port, self._buses[node.port])
        for primary, replica in zip(primaries, replicas, strict=True):
            name = ask(primary, "CLUSTER", "MYID")
            wait_until(lambda replica=replica, name=name: name in str(ask(replica, "CLUSTER", "NODES")), "nodes met")
            ask(replica, "CLUSTER", "REPLICATE", name)
        self.settle()

    def _info(self, node: Process) -> dict[str, Any]:
        """State of a node; empty while it does not answer."""
        try:
            with client_of(node) as client:
                rows = str(client.execute_command("CLUSTER", "INFO")).split()
                return {**client.info("replication"), **dict(row.split(":", 1) for row in rows)}
        except RedisError:
            return {}

    def primaries(self) -> list[Process]:
        return [node for node in self.nodes if self._info(node).get("role") == "master"]

    def primary_of(self, key: str) -> Process:
        """The primary that serves a key."""
        slot = key_slot(key.encode())
        for node in self.primaries():
            if any(low <= slot <= high for low, high in _own_slots(str(ask(node, "CLUSTER", "NODES")))):
                return node
        raise AssertionError(f"no primary serves {key}")

    def settle(self) -> None:
        """Three primaries, a connected replica each, every node sees all slots, whatever happened before."""
        self._folder.revive()

        def settled() -> bool:
            infos = [self._info(node) for node in self.nodes]
            return (
                all(info.get("cluster_state") == "ok" and info["cluster_known_nodes"] == "6" for info in infos)
                and sum(info["role"] == "master" for info in infos) == 3
                and all(info["role"] == "master" or info["master_link_status"] == "up" for info in infos)
                and all(info["role"] == "slave" or info["connected_slaves"] == 1 for info in infos)
            )

        wait_until(settled, "three primaries with a replica each", 40)

    def flush(self) -> None:
        for node in self.primaries():
            ask(node, "FLUSHALL")

    def close(self) -> None:
        self._folder.close()


def _own_slots(nodes: str) -> list[tuple[int, int]]:
    """Slots of the node that was asked; those on the move are left out."""
    mine = next(line.split() for line in nodes.splitlines() if "myself" in line)
    ranges = [word.partition("-") for word in mine[8:] if not word.startswith("[")]
    return [(int(low), int(high or low)) for low, _, high in ranges]
