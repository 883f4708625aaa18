"""A Postgres of the test's own on loopback, and a wire to it that can be cut."""

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

#: Closes a connection as a cut wire does: a reset, nothing said.
_RESET = struct.pack("ii", 1, 0)
_FOLDERS = ("/usr/lib/postgresql", "/usr/pgsql")


def _program(name: str) -> str | None:
    found = sorted(path for root in _FOLDERS for path in Path(root).glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def free_port() -> int:
    """Give a port of loopback that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def postgres(*, inside: Sequence[str] = (), also: Sequence[str] = ()) -> Iterator[str]:
    """Start a server that listens on loopback; give its address, stop it at the end.

    Parameters
    ----------
    inside
        The words that start a program in a network of its own, as root.
    also
        Addresses of that network it listens on and trusts, beside loopback.

    Skips the test where none is installed, or none may be started.
    """
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("no Postgres is installed: initdb and pg_ctl are not there")
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: the extra deploy brings it")
    # The server refuses to be root: it runs as its own user where there is one.
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="instgov-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    port, data = free_port(), folder / "data"
    options = f"-p {port} -h {','.join(['127.0.0.1', *also])} -k {folder} -c fsync=off"

    def run(*words: str) -> None:
        # In another network it is root that enters, and the server's user that goes on.
        if inside and user is not None:
            as_user = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
            words = (*inside, *as_user, *words)
        start_as = None if inside else user
        subprocess.run(words, check=True, capture_output=True, user=start_as, cwd=folder)

    try:
        run(initdb, "-D", str(data), "-U", "instgov", "-A", "trust", "--no-sync")
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as trusted:
            trusted.writelines(f"host all all {one}/24 trust\n" for one in also)
        run(pg_ctl, "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield f"postgresql://instgov@127.0.0.1:{port}/postgres"
        finally:
            run(pg_ctl, "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Wire:
    """A proxy on loopback between one host and the server.

    Attributes
    ----------
    port
        What the host connects to.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._flows = threading.Event()
        self._flows.set()
        self._refuses = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection, both ends at once, and refuse new ones."""
        self._refuses = True
        for pair in self._taken():
            for end in pair:
                _reset(end)

    def swallow(self) -> None:
        """Let nothing through either way; both ends believe that the other is there."""
        self._refuses = True
        self._flows.clear()

    def let_server_notice(self) -> None:
        """Close the server's ends of what is swallowed; the host still waits for an answer."""
        for _, server in self._pairs:
            _reset(server)

    def mend(self) -> None:
        """Let new connections through again; those from before are gone."""
        for pair in self._taken():
            for end in pair:
                _reset(end)
        self._refuses = False
        self._flows.set()

    def close(self) -> None:
        """End it."""
        self.cut()
        self._flows.set()
        self._listener.close()

    def _taken(self) -> list[tuple[socket.socket, socket.socket]]:
        pairs, self._pairs = self._pairs, []
        return pairs

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                host, _ = self._listener.accept()
                if self._refuses:
                    _reset(host)
                    continue
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._pairs.append((host, server))
                for source, target in ((host, server), (server, host)):
                    pump = threading.Thread(target=self._pump, args=(source, target), daemon=True)
                    pump.start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while body := source.recv(65536):
                self._flows.wait()
                target.sendall(body)
        _reset(target)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()
