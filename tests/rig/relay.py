"""A relay in front of a server: it hands on what it hears after a delay, or not at all."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType


class Relay:
    """Listens on `port`; `delay_s` may be changed at any time, and `carrying` cleared: then nothing passes, either way,
    and nobody is told, as by a firewall that drops. A context manager."""

    def __init__(self, behind: int) -> None:
        self.delay_s = 0.0
        self.carrying = threading.Event()
        self.carrying.set()
        self._behind = behind
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(("127.0.0.1", self._behind))
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        """Hand on until either side is closed; the delay is before an answer begins, not between its pieces."""
        last = 0.0
        try:
            while chunk := source.recv(65_536):
                if answers and time.monotonic() - last > 0.02:
                    time.sleep(self.delay_s)
                self.carrying.wait()
                sink.sendall(chunk)
                last = time.monotonic()
        except OSError:  # the other side is gone
            pass
        finally:
            source.close()
            sink.close()
