"""The desk: once each, again on change, again what failed, and never an error for the caller."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.alerts import Alert, AlertDesk, alert_settings, desk, open_channels
from instgov_dagster.adapters.alerts.outbox import Outbox, read_outbox
from instgov_dagster.adapters.runtime import FileLock, VirtualClock
from instgov_dagster.vocabulary.policy.operations import OperationsPolicy
from instgov_dagster_tests.adapters.alerts.servers import Hook, Mailbox, Mood

START = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
POLICY = OperationsPolicy(alert_deadline_seconds=0.3, alert_outbox=3)
REPEAT = timedelta(minutes=POLICY.alert_repeat_minutes)


@pytest.fixture(autouse=True)
def _no_memory_of_other_tests() -> Iterator[None]:
    desk._UNSAVED.clear()
    yield
    desk._UNSAVED.clear()


class Teller:
    """A desk on loopback servers, and what it complained of."""

    def __init__(self, root: Path, mailbox: Mailbox, hook: Hook) -> None:
        self.clock = VirtualClock(START)
        self.complaints: list[str] = []
        environment = {
            "INSTGOV_ALERT_SMTP": f"127.0.0.1:{mailbox.port}",
            "INSTGOV_ALERT_FROM": "watch@example.org",
            "INSTGOV_ALERT_TO": "ann@example.org",
            "INSTGOV_ALERT_WEBHOOK": hook.url,
        }
        self.desk = AlertDesk(
            root,
            open_channels(alert_settings(environment)),
            policy=POLICY,
            clock=self.clock,
            complain=self.complaints.append,
        )

    def tell(self, event: str = "leader_hung", level: int = logging.ERROR, **facts: Any) -> bool:
        return self.desk.tell(Alert.of(event, level, facts, at=self.clock.now()))


@pytest.fixture
def teller(tmp_path: Path, mailbox: Mailbox, hook: Hook) -> Teller:
    return Teller(tmp_path, mailbox, hook)


def test_the_same_is_told_once_until_the_minutes_have_passed(teller: Teller, hook: Hook) -> None:
    assert teller.tell(age_seconds=11.0)
    teller.clock.advance(REPEAT - timedelta(seconds=1))
    assert not teller.tell(age_seconds=1810.0)
    teller.clock.advance(timedelta(seconds=1))
    assert teller.tell(age_seconds=1811.0)
    assert [post["facts"]["age_seconds"] for post in hook.posts] == [11.0, 1811.0]


def test_a_fact_that_is_no_number_or_another_gravity_is_a_change(
    teller: Teller, mailbox: Mailbox, hook: Hook
) -> None:
    assert teller.tell(reasons=["LEADER_SILENT"])
    assert teller.tell(reasons=["LEADER_SILENT", "DAEMON_SILENT"])
    assert teller.tell(reasons=["LEADER_SILENT", "DAEMON_SILENT"], level=logging.CRITICAL)
    assert len(hook.posts) == len(mailbox.mails) == 3


def test_two_subjects_of_one_event_are_told_apart(teller: Teller, hook: Hook) -> None:
    assert [teller.tell(key=key) for key in ("a", "b", "a", "b")] == [True, True, False, False]
    assert [post["key"] for post in hook.posts] == ["a", "b"]


def test_another_desk_of_the_home_remembers_what_the_first_one_told(
    tmp_path: Path, mailbox: Mailbox, hook: Hook
) -> None:
    assert Teller(tmp_path, mailbox, hook).tell()
    assert not Teller(tmp_path, mailbox, hook).tell()
    assert len(hook.posts) == 1


@pytest.mark.parametrize("mood", [Mood.REFUSES, Mood.HANGS, Mood.CUTS])
def test_what_a_channel_did_not_take_is_sent_at_a_later_tick_and_only_over_that_channel(
    teller: Teller, mailbox: Mailbox, hook: Hook, mood: Mood
) -> None:
    mailbox.mood = mood
    assert teller.tell(state="HALT_SYSTEM")
    assert (len(mailbox.mails), len(hook.posts)) == (0, 1)
    assert any("the channel smtp failed, 1 in a row" in text for text in teller.complaints)
    mailbox.mood = Mood.TAKES
    assert teller.desk.retry() == 1  # it rests yet
    teller.clock.advance(timedelta(seconds=POLICY.alert_backoff_seconds))
    assert teller.desk.retry() == 0
    assert (len(mailbox.mails), len(hook.posts)) == (1, 1)
    assert mailbox.mails[0]["Subject"] == "[instgov] ERROR leader_hung HALT_SYSTEM"


def test_a_channel_that_keeps_failing_is_left_alone_for_longer_and_longer(
    teller: Teller, mailbox: Mailbox
) -> None:
    mailbox.mood = Mood.REFUSES
    teller.tell()
    for second in range(1, 36):
        teller.clock.sleep_until(START + timedelta(seconds=second))
        teller.desk.retry()
    # At 0, after 5, 10 more, 20 more: the doubling of the policy's five seconds.
    assert mailbox.calls == 4


def test_an_alert_that_nobody_takes_is_given_up_after_a_day_and_said_so(
    teller: Teller, mailbox: Mailbox, hook: Hook
) -> None:
    mailbox.mood = hook.mood = Mood.REFUSES
    teller.tell()
    teller.clock.advance(timedelta(hours=POLICY.alert_keep_hours))
    assert teller.desk.retry() == 0
    assert teller.complaints[-1] == "1 undelivered alerts are given up"


def test_the_outbox_holds_the_newest_of_many(teller: Teller, mailbox: Mailbox, hook: Hook) -> None:
    mailbox.mood = hook.mood = Mood.REFUSES
    for number in range(5):
        teller.tell(key=str(number))
    mailbox.mood = hook.mood = Mood.TAKES
    teller.clock.advance(timedelta(hours=1))
    teller.desk.retry()
    assert [post["key"] for post in hook.posts] == ["2", "3", "4"]


def test_a_memory_that_is_damaged_costs_the_memory_and_not_the_alert(
    teller: Teller, tmp_path: Path, hook: Hook
) -> None:
    (tmp_path / "alerts.json").write_text("{")
    assert teller.tell()
    assert len(hook.posts) == 1
    assert teller.complaints == ["the memory of alerts is lost: JSONDecodeError"]
    assert read_outbox(tmp_path).told


def test_a_full_disk_keeps_the_memory_in_the_process_and_the_alert_goes_out_once(
    teller: Teller, tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(desk, "write_outbox", full)
        assert teller.tell()
        assert not teller.tell()
    assert len(hook.posts) == 1
    assert not (tmp_path / "alerts.json").exists()
    assert not teller.tell()  # and goes to the file as soon as there is room
    assert read_outbox(tmp_path).told


def test_a_desk_that_another_process_keeps_waiting_tells_all_the_same(
    teller: Teller, tmp_path: Path, hook: Hook
) -> None:
    with FileLock(tmp_path / "alerts.lock"):
        assert teller.tell()
    assert len(hook.posts) == 1
    assert teller.complaints == ["alerts go on without their lock: LeaseHeld"]


def test_without_a_channel_nothing_is_told_and_nothing_written(tmp_path: Path) -> None:
    silent = AlertDesk(tmp_path, (), policy=POLICY, clock=VirtualClock(START), complain=[].append)
    assert not silent.tell(Alert.of("x", logging.ERROR, {}, at=START))
    assert (silent.retry(), list(tmp_path.iterdir())) == (0, [])


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.booleans()))
def test_a_memory_reads_back_as_it_was_written(facts: dict[str, Any]) -> None:
    alert = Alert.of("event", logging.WARNING, facts, at=START)
    assert Alert.from_dict(alert.to_dict()) == alert
    assert Outbox.from_bytes(Outbox().to_bytes()) == Outbox()
