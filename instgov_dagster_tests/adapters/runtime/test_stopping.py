"""A signal asks once; the second one is handed to whoever held it before."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.adapters.runtime.stopping import (
    LOOK_SECONDS,
    StopRequest,
    graceful_stop,
    wait_until,
)

START = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)


class Interrupted(BaseException):
    """What the one who held the signal before us raises."""


@pytest.fixture
def held_before() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, interrupt)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("held_before")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_is_not_held_back(number: signal.Signals) -> None:
    with pytest.raises(Interrupted), graceful_stop() as request:  # noqa: PT012  # the order is it
        assert not request.is_asked
        os.kill(os.getpid(), number)
        assert request.signal_name == number.name
        os.kill(os.getpid(), number)
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), number)


@pytest.mark.usefixtures("held_before")
def test_the_handlers_are_put_back_however_the_block_is_left() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), graceful_stop():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_process_that_was_started_to_ignore_it(
    number: signal.Signals,
) -> None:
    program = (
        "import signal\n"
        "from instgov_dagster.adapters.runtime.stopping import graceful_stop\n"
        f"number = signal.Signals({int(number)})\n"
        "signal.signal(number, signal.SIG_IGN)\n"
        "with graceful_stop() as request:\n"
        "    signal.raise_signal(number)\n"
        "    assert request.is_asked\n"
        "    signal.raise_signal(number)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert ended.returncode == -number, ended.stderr


def test_a_thread_that_may_hold_no_handlers_holds_none() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def lead() -> None:
        with graceful_stop() as request:
            seen.append((signal.getsignal(signal.SIGTERM), request.is_asked))

    thread = threading.Thread(target=lead)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


class CountingClock(VirtualClock):
    """A clock that stands still and counts how often it was waited on."""

    def __init__(self, *, asked_at: int, request: StopRequest) -> None:
        super().__init__(START)
        self.waits, self._asked_at, self._request = 0, asked_at, request

    def sleep_until(self, instant: datetime) -> None:
        super().sleep_until(instant)
        self.waits += 1
        if self.waits == self._asked_at:
            self._request.signal_name = "SIGTERM"


def test_a_wait_ends_exactly_when_it_is_due() -> None:
    request = StopRequest()
    clock = CountingClock(asked_at=-1, request=request)
    wait_until(clock, START + timedelta(seconds=1.1), request)
    assert clock.now() == START + timedelta(seconds=1.1)
    wait_until(clock, START, request)
    assert clock.waits == 5  # 0.25, 0.50, 0.75, 1.00, 1.10; what has passed is not waited for


def test_a_wait_of_an_hour_ends_soon_after_the_request() -> None:
    request = StopRequest()
    clock = CountingClock(asked_at=3, request=request)
    wait_until(clock, START + timedelta(hours=1), request)
    assert clock.now() == START + timedelta(seconds=3 * LOOK_SECONDS)
