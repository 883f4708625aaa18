"""A signal as a request: end after the work in hand; the second one is not asked twice."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, Final

from instgov_dagster.adapters.runtime.clock import Clock

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
#: How long a waiting session may take to notice that it was asked to end.
LOOK_SECONDS: Final = 0.25


class StopRequest:
    """Whether somebody asked this process to end.

    Attributes
    ----------
    signal_name
        The signal that asked; None while none did.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether a signal came."""
        return self.signal_name is not None


@contextmanager
def graceful_stop() -> Iterator[StopRequest]:
    """Take the first SIGTERM or SIGINT as a request, hand the second to whoever held it before.

    Handlers belong to the main thread: in any other nothing is installed and no request comes.
    They are put back on leaving, whatever happens.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # A handler that C code installed reads as None and cannot be put back: the default stands in.
    before: dict[signal.Signals, Any] = {
        number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS
    }

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        if request.is_asked:
            restore()
            if signal.getsignal(number) is signal.SIG_IGN:
                # Started in the background, a shell ignores it for us; who asks twice means it.
                signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        request.signal_name = signal.Signals(number).name

    try:
        for number in SIGNALS:
            signal.signal(number, ask)
        yield request
    finally:
        restore()


def wait_until(clock: Clock, due: datetime, request: StopRequest) -> None:
    """Wait for an instant, or until somebody asks to end; an instant that passed is not waited for.

    A sleep outlives the signal that comes in it, so a long one is slept in parts.
    """
    step = timedelta(seconds=LOOK_SECONDS)
    while not request.is_asked and (now := clock.now()) < due:
        clock.sleep_until(min(due, now + step))
