"""The board kept fresh in a thread of its own; whoever asks gets the last reading, or STALE."""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from instgov_dagster.adapters.runtime import Clock, RealClock
from instgov_dagster.dashboard.model import Standing
from instgov_dagster.dashboard.pages import PAGES, version_of
from instgov_dagster.dashboard.reading.board import Board, BoardReader
from instgov_dagster.dashboard.serving.payload import document, page_json, query_key

#: A reading older than so many of its intervals is no longer the present.
_OLD_AFTER = 4.0
_MOST_HELD = 64
_TAG_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a browser is sent of a page, and the tag it is known by."""

    tag: str
    body: bytes


class Watcher:
    """Reads a home every so often while it is running.

    Parameters
    ----------
    reader
        Reads the home; the first time in the constructor, so that there is always a board.
    every_seconds
        Between two readings.
    """

    def __init__(
        self, reader: BoardReader, *, every_seconds: float = 1.0, clock: Clock | None = None
    ) -> None:
        self._reader = reader
        self._every = every_seconds
        self._clock: Clock = clock or RealClock()
        self._board = reader.read()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._held: dict[str, Payload] = {}
        self._failure = ""

    @property
    def board(self) -> Board:
        """The last reading; STALE where it is too old or a reading failed since."""
        board, age = self._board, (self._clock.now() - self._board.at).total_seconds()
        if age <= _OLD_AFTER * self._every and not self._failure:
            return board
        problem = self._failure or f"the home was last read {age:.0f} s ago"
        return replace(board, standing=Standing.STALE, problems=(*board.problems, problem))

    def json_of(self, key: str, query: Mapping[str, str]) -> Payload:
        """Give a page's parts; the same bytes as long as nothing it stands on has changed.

        Raises
        ------
        KeyError
            If there is no such page.
        """
        board = self.board
        version, name = version_of(key, board), query_key(key, query)
        tag = hashlib.sha256(f"{name} {version}".encode()).hexdigest()[:_TAG_CHARS]
        with self._lock:
            held = self._held.get(name)
            if held is not None and held.tag == tag:
                return held
        page = PAGES[key].page(board, query)
        made = Payload(tag=tag, body=page_json(board, page, tag=tag).encode())
        with self._lock:
            if len(self._held) >= _MOST_HELD:
                self._held.clear()
            self._held[name] = made
        return made

    def document_of(self, key: str, query: Mapping[str, str]) -> bytes:
        """Give a page's document.

        Raises
        ------
        KeyError
            If there is no such page.
        """
        board = self.board
        return document(board, PAGES[key].page(board, query)).encode()

    def refresh(self) -> None:
        """Read the home now; a reading that fails leaves the last one, told as STALE."""
        try:
            self._board, self._failure = self._reader.read(), ""
        except Exception as error:  # noqa: BLE001  # whatever it is, what is held is not live
            self._failure = f"the home cannot be read: {type(error).__name__}: {error}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True, name="board")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.refresh()
