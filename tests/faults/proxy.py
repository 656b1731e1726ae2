"""A TCP proxy in front of a server, to cut, delay, hold, black-hole or half-open what passes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

Address = tuple[str, int] | str


def address_of(url: str) -> Address:
    """Host and port of a server's address, or the path of its socket."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "unix" else (parts.hostname or "127.0.0.1", parts.port or 0)


class Proxy:
    """Passes bytes both ways until told otherwise."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: dict[socket.socket, socket.socket] = {}
        self._deserted: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._clear = threading.Event()
        self._clear.set()
        self._hold_if: bytes | None = None
        self._reply_bytes: int | None = None
        self.delay_s = 0.0
        self.refusing = False
        self.held = 0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def mongodb_uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    # Faults

    def cut(self) -> None:
        """Ends every connection."""
        with self._lock:
            sockets = [*self._open, *self._open.values()]
        for end in sockets:
            _end(end)

    def desert(self) -> int:
        """Half-opens every connection: the server's end is gone, the client's looks established; returns how many."""
        with self._lock:
            pairs = dict(self._open)
            self._deserted |= set(pairs)
        for server in pairs.values():
            _end(server)
        return len(pairs)

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Nobody is let in, and everybody is put out."""
        self.refusing = True
        self.cut()
        yield
        self.refusing = False

    @contextlib.contextmanager
    def black_hole(self) -> Iterator[None]:
        """Connections stay, nothing passes."""
        self._clear.clear()
        yield
        self._clear.set()

    @contextlib.contextmanager
    def hold(self, text: bytes) -> Iterator[None]:
        """A connection on which a request with this text is sent passes nothing; the others do."""
        self._hold_if, self.held = text, 0
        self._clear.clear()
        yield
        self._hold_if = None
        self._clear.set()

    def cut_next_reply(self, after_bytes: int) -> None:
        """The next reply is cut in the middle, and its connection with it: the request did arrive."""
        self._reply_bytes = after_bytes

    # Passing

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.refusing:
            client.close()
            return
        try:
            if isinstance(self._server, str):
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
            else:
                server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        with self._lock:
            self._open[client] = server
        back = threading.Thread(target=self._pass, args=(server, client, False), daemon=True)
        back.start()
        self._pass(client, server, True)
        back.join()
        with self._lock:
            self._open.pop(client, None)
            self._deserted.discard(client)
        client.close()
        server.close()

    def _pass(self, source: socket.socket, target: socket.socket, request: bool) -> None:
        try:
            while chunk := source.recv(1 << 16):
                if source in self._deserted:
                    continue
                if self._hold_if is None:
                    self._clear.wait()
                elif request and self._hold_if in chunk:
                    self.held += 1
                    self._clear.wait()
                if self.delay_s:
                    time.sleep(self.delay_s)
                if not request and self._reply_bytes is not None:
                    chunk, self._reply_bytes = chunk[: self._reply_bytes], None
                    self.cuts += 1
                    target.sendall(chunk)
                    break
                target.sendall(chunk)
        except OSError:
            pass
        finally:
            _end(source)
            if target not in self._deserted:
                _end(target)

    def close(self) -> None:
        self._clear.set()
        self._listener.close()
        self.cut()


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
