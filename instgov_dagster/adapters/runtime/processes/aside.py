"""A process beside this one that answers in order what it is asked; what that is, is no matter."""

import atexit
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from traceback import format_exception
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from instgov_dagster.adapters.runtime.processes.memory import peak_rss_mb

_Start = TypeVar("_Start")
_Question = TypeVar("_Question")
_Item = TypeVar("_Item")
#: What such a process is called among the caller's children.
PROCESS: Final = "aside"
_ITEM: Final = "item"
_DONE: Final = "done"
_FAILED: Final = "failed"


class ProcessLost(RuntimeError):  # noqa: N818  # what happened, not whose mistake
    """The process beside this one ended before it had answered."""


class Aside(Generic[_Start, _Question, _Item]):
    """A context in which a process of its own answers questions, each with a list of items.

    Parameters
    ----------
    begin
        Called there once, with ``start``: gives what answers a question by yielding items.
    start
        What it begins from. Questions, items and this are pickled.

    Notes
    -----
    The process is spawned, not forked: the caller holds threads. It ignores an interrupt, which is
    the caller's to handle, is killed when the context ends, and ends by itself when the caller is
    gone: it holds nothing that could be left half-written.
    """

    def __init__(
        self,
        begin: Callable[[_Start], Callable[[_Question], Iterable[_Item]]],
        start: _Start,
    ) -> None:
        context = get_context("spawn")
        self._begin, self._start = begin, start
        self._here, self._there = context.Pipe()
        # It is handed its end of the pipe alone: what it begins from could fill the one that
        # `multiprocessing` writes to, and hang where the process has ended before it read.
        self._process = context.Process(target=_serve, args=(self._there,), name=PROCESS)
        self._peak_rss_mb = 0.0

    @property
    def peak_rss_mb(self) -> float:
        """The most memory the process held, MiB; known once the context has ended."""
        return self._peak_rss_mb

    def __enter__(self) -> Self:
        """Start the process.

        Raises
        ------
        ProcessLost
            If it ends at once.
        """
        self._process.start()
        self._there.close()
        # Where the context is never left, as that of a generator nobody closes, the interpreter
        # would wait at its end for a process that waits for it.
        atexit.register(self._end)
        try:
            self._send((self._begin, self._start))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, whatever it is at."""
        self._end()

    def _end(self) -> None:
        atexit.unregister(self._end)
        self._here.close()
        self._peak_rss_mb = peak_rss_mb(self._process.pid)
        self._process.kill()
        self._process.join()

    def ask(self, question: _Question) -> None:
        """Put a question; it is answered after those put before it.

        Raises
        ------
        ProcessLost
            If the process has ended.
        """
        self._send(question)

    def answer(self) -> list[_Item]:
        """Wait for the answer to the oldest question that has none yet.

        Raises
        ------
        ProcessLost
            If the process ends before it has answered.
        Exception
            What the answer failed with there.
        """
        items: list[_Item] = []
        while True:
            try:
                word, told = self._here.recv()
            except (EOFError, OSError) as error:
                raise self._lost() from error
            if word == _DONE:
                return items
            if word == _FAILED:
                raise told
            items.append(told)

    def _send(self, told: Any) -> None:
        try:
            self._here.send(told)
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> ProcessLost:
        self._process.join()
        return ProcessLost(
            f"the process beside this one ended with exit code {self._process.exitcode}"
            " before it had answered"
        )


class _Served:
    # What is begun from the first question on, so that a failure to begin is an answer as well.
    def __init__(self, begin: Callable[[Any], Callable[[Any], Iterable[Any]]], start: Any) -> None:
        self._begin, self._start = begin, start
        self._answers: Callable[[Any], Iterable[Any]] | None = None

    def told(self, question: Any) -> Iterator[tuple[str, Any]]:
        try:
            if self._answers is None:
                self._answers = self._begin(self._start)
            for item in self._answers(question):
                yield _ITEM, item
        except Exception as error:  # noqa: BLE001  # raised again where the question was put
            error.add_note("".join(format_exception(error)))
            yield _FAILED, error
        else:
            yield _DONE, None


def _serve(asked: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        served = _Served(*asked.recv())
        while True:
            for said in served.told(asked.recv()):
                asked.send(said)
    except (EOFError, ConnectionError):
        return  # who asked is gone
