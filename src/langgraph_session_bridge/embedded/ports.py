"""Loopback ports: choosing a free one, and asking whether one accepts."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def free_port(preferred: int | None = None) -> int:
    """A port that is free now: the preferred one if it is, any other one else.

    It may be taken before a server binds it; whoever starts the server tries again then.
    """
    for port in (preferred or 0, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Connections of the last run in TIME_WAIT do not keep a server from binding, nor this probe.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("the system has no free loopback port")


def accepts(port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether something accepts connections on this port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout_s).close()
    except OSError:
        return False
    return True
