"""A process beside this one that answers in order what it is asked; what that is, is no matter."""

import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from multiprocessing.util import Finalize
from traceback import format_exception
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

from instgov_dagster.adapters.runtime.processes.memory import peak_rss_mb
from instgov_dagster.vocabulary.errors import ProcessLost

_Start = TypeVar("_Start")
_Question = TypeVar("_Question")
_Item = TypeVar("_Item")
_Bytes: TypeAlias = bytes | bytearray | memoryview
#: What such a process is called among the caller's children.
PROCESS: Final = "aside"
_ITEM: Final = "item"
_DONE: Final = "done"
_FAILED: Final = "failed"
_UNGUARDED: Final = "; a script that starts one must begin under if __name__ == '__main__'"
_KILLED: Final = ", killed: a system does so where memory is short"
# multiprocessing ends what has such a number before it waits for processes at its own end.
_BEFORE_WAITING: Final = 10
# A process whose pipe is broken ends at once; one that does not is ended.
_GRACE_SECONDS: Final = 5.0


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
    the caller's to handle, and is killed when the context ends, so it may hold nothing that could
    be left half-written. It ends by itself when the caller is gone.
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
        self._peak_rss_mb, self._has_answered = 0.0, False

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
        self._end = Finalize(
            self, _end, args=(self._here, self._process), exitpriority=_BEFORE_WAITING
        )
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
        self._peak_rss_mb = peak_rss_mb(self._process.pid)
        self._end()

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
            self._has_answered = True
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
        self._process.join(_GRACE_SECONDS)
        code = self._process.exitcode
        why = _KILLED if code == -signal.SIGKILL else "" if self._has_answered else _UNGUARDED
        return ProcessLost(
            f"the process beside this one had not answered when it ended with exit code {code}{why}"
        )


def _end(here: Connection, process: BaseProcess) -> None:
    here.close()
    process.kill()
    process.join()


class _Served:
    # What is begun from the first question on, so that a failure to begin is an answer as well.
    # What is told is pickled here, so that what cannot be is one too.
    def __init__(self, begin: Callable[[Any], Callable[[Any], Iterable[Any]]], start: Any) -> None:
        self._begin, self._start = begin, start
        self._answers: Callable[[Any], Iterable[Any]] | None = None

    def told(self, question: Any) -> Iterator[_Bytes]:
        try:
            if self._answers is None:
                self._answers = self._begin(self._start)
            for item in self._answers(question):
                yield ForkingPickler.dumps((_ITEM, item))
        except Exception as error:  # noqa: BLE001  # raised again where the question was put
            yield _failure(error)
        else:
            yield ForkingPickler.dumps((_DONE, None))


def _failure(error: Exception) -> _Bytes:
    # The error itself where it survives the way, else what it would have printed.
    text = "".join(format_exception(error))
    error.add_note(text)
    try:
        told = ForkingPickler.dumps((_FAILED, error))
        ForkingPickler.loads(told)
    except Exception:  # noqa: BLE001  # whatever an error of somebody else's raises
        return ForkingPickler.dumps((_FAILED, RuntimeError(text)))
    return told


def _serve(asked: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        served = _Served(*asked.recv())
        while True:
            for said in served.told(asked.recv()):
                asked.send_bytes(said)
    except (EOFError, ConnectionError):
        return  # who asked is gone
