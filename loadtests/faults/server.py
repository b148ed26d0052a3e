"""A PostgreSQL server that a test can stop, kill, pause and start."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from db import embedded
from loadtests.harness.service import wait_for


class DatabaseServer:
    """An embedded PostgreSQL server.

    Attributes:
        conninfo: connects as its superuser, over its Unix socket.
        socket_dir: the folder of that socket.
        socket: the path of that socket.
    """

    def __init__(self, data_dir: Path, conninfo: str) -> None:
        self._data = data_dir / "postgres"
        self.conninfo = conninfo
        parameters = conninfo_to_dict(conninfo)
        self.socket_dir = str(parameters["host"])
        self._port = parameters.get("port", 5432)
        self.socket = f"{self.socket_dir}/.s.PGSQL.{self._port}"

    @property
    def owner(self) -> str | None:
        """The system user that it runs as; None if that is the user running this."""
        owner = self._data.owner()
        return owner if owner != Path.home().owner() else None

    @property
    def log(self) -> str:
        """Everything the server has logged."""
        return (self._data / "log").read_text()

    def start(self) -> None:
        """Start it, and wait until it has recovered and accepts connections."""
        options = f"-h '' -k {self.socket_dir} -p {self._port}"
        self._pg_ctl("start", "-w", "-l", str(self._data / "log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it.

        Args:
            mode: ``immediate`` is like a crash, except that its processes say goodbye to clients.
        """
        self._pg_ctl("stop", "-m", mode)

    def follow(self, primary_conninfo: str) -> None:
        """Make it a standby from its next start on."""
        (self._data / "standby.signal").touch()
        with (self._data / "postgresql.auto.conf").open("a") as file:
            # The value is quoted, so quotes inside it are doubled.
            quoted = primary_conninfo.replace("'", "''")
            file.write(f"primary_conninfo = '{quoted}'\n")

    def kill(self) -> None:
        """Kill all its processes, as if the machine had lost power."""
        self.pause()
        pids = self._pids()
        self._send(signal.SIGKILL)
        wait_for(lambda: not any(map(_exists, pids)), "the server to be dead")

    def pause(self) -> None:
        """Freeze all its processes."""
        # The parent first, or it would go on forking.
        os.kill(self._pids()[0], signal.SIGSTOP)
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._send(signal.SIGCONT)

    def is_running(self) -> bool:
        """Whether the server is running."""
        pid_file = self._data / "postmaster.pid"
        return pid_file.exists() and _exists(int(pid_file.read_text().split()[0]))

    def _pids(self) -> list[int]:
        """The process ids of the server, the parent first."""
        parent = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *map(int, children)]

    def _send(self, sent: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, sent)

    def _pg_ctl(self, *arguments: str) -> None:
        command = [embedded.program("pg_ctl"), "-D", str(self._data), *arguments]
        silent = subprocess.DEVNULL
        subprocess.run(command, check=True, stdout=silent, stderr=silent, user=self.owner, cwd="/")


@contextmanager
def serving(data_dir: Path) -> Iterator[DatabaseServer]:
    """A running server with its files in the folder; stopped at the end."""
    with embedded.serving(data_dir) as conninfo:
        server = DatabaseServer(data_dir, conninfo)
        yield server
    assert not server.is_running(), "the server was left behind"


def _exists(pid: int) -> bool:
    """Whether the process exists, or is a zombie: PostgreSQL does not tell the two apart."""
    return Path(f"/proc/{pid}").exists()
