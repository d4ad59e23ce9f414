"""A TCP proxy whose connections a test can cut: what a lost network looks like to both ends."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class TcpProxy:
    """Forwards `port` on localhost to `target`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._torn: set[socket.socket] = set()
        self.refusing = False
        """Cut new connections at once, too."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Reset every connection, in both directions and without a goodbye; returns how many there were."""
        with self._lock:
            sockets, self._open = self._open, set()
            self._silent.clear()
            self._torn.clear()
        self._reset(*sockets)
        return len(sockets) // 2

    def silence(self) -> int:
        """Every connection stays open and carries nothing any more; returns how many there were."""
        with self._lock:
            self._silent |= self._open
            return len(self._open) // 2

    def tear(self) -> int:
        """Cut every connection in the middle of what it carries next; returns how many there were."""
        with self._lock:
            self._torn |= self._open
            return len(self._open) // 2

    def close(self) -> None:
        """Stop listening and cut everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.refusing:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _reset(*sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if source in self._torn:
                    sink.sendall(data[: len(data) // 2])
                    self._reset(source, sink)
                    return
                if source not in self._silent:
                    sink.sendall(data)
            if source not in self._silent:
                sink.shutdown(socket.SHUT_WR)
        except OSError:  # one end was reset: the other one is to know
            if source not in self._silent:
                self._reset(source, sink)


@contextmanager
def tcp_proxy(target: int) -> Iterator[TcpProxy]:
    """A proxy to a port of this machine."""
    proxy = TcpProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
