"""Is the platform alive: its vital signs judged against the policy; nothing is read here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from instgov_dagster.vocabulary.governance import SystemStateName
from instgov_dagster.vocabulary.policy.operations import OperationsPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What was seen at one instant; an age is in seconds, None where there is nothing to see.

    Attributes
    ----------
    heartbeat_age_seconds
        Of the leader's heartbeat.
    chain_age_seconds, chain_sequence
        Of the last frame of the loop's chain, on the machine's clock, and its number.
    is_session_open
        Whether the loop's chain does not end with a session's end.
    session_wanted_seconds
        For how long sessions have been asked for: the sensor is on, a night is published, the
        state allows them; None where they are not.
    daemon_age_seconds
        Of the oldest heartbeat among the daemons that are needed; None where one gave none.
    projector_frames, projector_lag_seconds
        Frames of the loop's chain that readers do not see, and for how long at most.
    event_log_mib, event_log_free_mib
        What Dagster's folder holds, and what is free on its disk.
    is_event_log_writable
        Whether the last attempt to write there succeeded; None where none was made.
    alerts_waiting
        Undelivered alerts; None where the channels are set up wrongly.
    """

    at: datetime
    state: SystemStateName
    heartbeat_age_seconds: float | None
    chain_age_seconds: float | None
    chain_sequence: int
    is_session_open: bool
    session_wanted_seconds: float | None
    daemon_age_seconds: float | None
    projector_frames: int
    projector_lag_seconds: float | None
    event_log_mib: float | None
    event_log_free_mib: float | None
    is_event_log_writable: bool | None
    alerts_waiting: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReason:
    """One thing that is wrong: its code, what was seen, and the bound; both None where unseen."""

    reason_code: ReasonCode
    value: float | None
    bound: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The verdict: healthy only where nothing is wrong."""

    vitals: Vitals
    reasons: tuple[HealthReason, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reasons

    @property
    def reason_codes(self) -> tuple[ReasonCode, ...]:
        """What is wrong, or that nothing is; never empty."""
        return tuple(row.reason_code for row in self.reasons) or (ReasonCode.HEALTHY,)


def judge_health(
    vitals: Vitals, *, policy: OperationsPolicy, heartbeat_stale_seconds: float
) -> Health:
    """Judge every vital sign; what cannot be seen is as bad as what is too old.

    Parameters
    ----------
    heartbeat_stale_seconds
        An older heartbeat is a hung leader (``loop.heartbeat_stale_seconds``).

    Notes
    -----
    A state of the system that forbids trading is no illness: `halt_sensor` tells it, and a
    halted platform whose parts live is alive. Under STOP_SYSTEM nobody leads, so nobody is missed.
    """
    reasons = (
        *_judge_loop(vitals, policy, heartbeat_stale_seconds),
        *_above(ReasonCode.DAEMON_SILENT, vitals.daemon_age_seconds, policy.daemon_stale_seconds),
        *_judge_projection(vitals, policy),
        *_judge_event_log(vitals, policy),
        *_judge_alerts(vitals),
    )
    return Health(vitals=vitals, reasons=reasons)


def _above(code: ReasonCode, value: float | None, bound: float) -> Iterator[HealthReason]:
    if value is None or not math.isfinite(value) or value > bound:
        yield HealthReason(reason_code=code, value=value, bound=bound)


def _judge_loop(
    vitals: Vitals, policy: OperationsPolicy, heartbeat_stale_seconds: float
) -> Iterator[HealthReason]:
    if vitals.state is SystemStateName.STOP_SYSTEM:
        return
    silent = list(
        _above(ReasonCode.LEADER_SILENT, vitals.heartbeat_age_seconds, heartbeat_stale_seconds)
    )
    if vitals.is_session_open:
        # A session that opens verifies its chains before its first heartbeat and its first cycle.
        still = list(
            _above(ReasonCode.CHAIN_STANDS_STILL, vitals.chain_age_seconds, heartbeat_stale_seconds)
        )
        yield from silent if silent and still else ()
        yield from still if not silent else ()
    elif vitals.session_wanted_seconds is not None and silent:
        # Missed since the last one ended, or since one was first wanted.
        ages = (vitals.session_wanted_seconds, vitals.chain_age_seconds)
        missed = min(age for age in ages if age is not None)
        yield from _above(ReasonCode.SESSION_MISSING, missed, policy.session_gap_seconds)


def _judge_projection(vitals: Vitals, policy: OperationsPolicy) -> Iterator[HealthReason]:
    if vitals.projector_frames > 0:
        yield from _above(
            ReasonCode.PROJECTION_LAGS, vitals.projector_lag_seconds, policy.projector_lag_seconds
        )


def _judge_event_log(vitals: Vitals, policy: OperationsPolicy) -> Iterator[HealthReason]:
    full = ReasonCode.EVENT_LOG_FULL
    yield from _above(full, vitals.event_log_mib, policy.event_log_max_mib)
    free, least = vitals.event_log_free_mib, policy.event_log_min_free_mib
    if free is None or not math.isfinite(free) or free < least:
        yield HealthReason(reason_code=full, value=free, bound=least)
    if vitals.is_event_log_writable is False:
        yield HealthReason(reason_code=ReasonCode.EVENT_LOG_UNWRITABLE, value=None, bound=None)


def _judge_alerts(vitals: Vitals) -> Iterator[HealthReason]:
    if vitals.alerts_waiting is None or vitals.alerts_waiting > 0:
        yield HealthReason(
            reason_code=ReasonCode.ALERTS_UNDELIVERED, value=vitals.alerts_waiting, bound=0.0
        )
