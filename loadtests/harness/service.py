"""Starts, queries, watches and stops the real service, as processes."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

TIMEOUT_SECONDS = 30.0
"""How long to wait for a condition before the test fails."""


def free_port() -> int:
    """A port that nothing uses, reserved until this process ends.

    A socket that is bound but does not listen keeps the system from handing the port out, and
    still lets anyone who asks for it by number listen on it.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    atexit.register(probe.close)
    port: int = probe.getsockname()[1]
    return port


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; fail after `TIMEOUT_SECONDS`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.02)


class Service:
    """A service, run as ``python -m api serve`` with the given environment."""

    def __init__(self, **environment: str) -> None:
        self.port = int(environment.setdefault("PORT", str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by close()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def log(self) -> str:
        """Everything it has printed."""
        self._log.flush()
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text()

    def status(self, path: str) -> int | None:
        """The status of the answer to a GET; None if there is no answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                code: int = answer.status
                return code
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log()
            return self.status("/readyz") == 200

        wait_for(is_ready, "the service to be ready")

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def logged(self, pattern: str) -> bool:
        return re.search(pattern, self.log()) is not None

    def terminate(self) -> int:
        """Send SIGTERM, and return the exit code once it has ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()


@contextmanager
def running(**environment: str) -> Iterator[Service]:
    """A service that is ready; stopped at the end."""
    service = Service(**environment)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.close()
