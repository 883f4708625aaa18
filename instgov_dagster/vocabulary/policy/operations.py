"""The numbers of the watch over the platform: alerts, health, how much history is kept."""

from dataclasses import dataclass

from instgov_dagster.vocabulary.checks import check_bounds, number


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsPolicy:
    """When something is told, how often, and what makes the platform unhealthy.

    Attributes
    ----------
    alert_repeat_minutes
        The same alert is sent again only after so long, or when it says something else.
    alert_deadline_seconds
        The most one delivery may take; what takes longer has failed.
    alert_backoff_seconds, alert_backoff_max_seconds
        The rest of a channel after its first failure; it doubles with each further one up to the
        second number.
    alert_keep_hours, alert_outbox
        An undelivered alert is tried for so long, and so many wait at most.
    watch_every_seconds
        How often the health process judges and tells by itself.
    daemon_stale_seconds
        An older heartbeat is a dead daemon; Dagster's daemons give one every 30 seconds.
    session_gap_seconds
        A wanted session may take so long to lead.
    projector_lag_seconds
        The most the projection may stand behind the loop's chain.
    event_log_max_mib, event_log_min_free_mib
        The most Dagster's folder may hold, and the least that must be free on its disk; the
        latter is above ``loop.min_free_disk_mib``, so that the alarm comes before the stop.
    history_keep_days, history_keep_runs
        Session runs younger than so long, and the newest so many, are never pruned.
    raw_keep_days
        Payloads of providers are kept for so long: seven years, a year more than SEC rule 17a-4
        asks of a broker's records.
    observe_every_seconds
        How often a session tells its numbers to the event log.
    """

    alert_repeat_minutes: float = number(30.0, gt=0, le=1440)
    alert_deadline_seconds: float = number(5.0, gt=0, le=20)
    alert_backoff_seconds: float = number(5.0, gt=0, le=600)
    alert_backoff_max_seconds: float = number(300.0, gt=0, le=3600)
    alert_keep_hours: float = number(24.0, gt=0, le=720)
    alert_outbox: int = number(200, ge=1, le=10_000)
    watch_every_seconds: float = number(15.0, gt=0, le=600)
    daemon_stale_seconds: float = number(120.0, ge=60, le=3600)
    session_gap_seconds: float = number(120.0, gt=0, le=3600)
    projector_lag_seconds: float = number(60.0, gt=0, le=3600)
    event_log_max_mib: int = number(4096, ge=16, le=1_048_576)
    event_log_min_free_mib: int = number(512, ge=1, le=1_048_576)
    history_keep_days: float = number(14.0, ge=1, le=3650)
    history_keep_runs: int = number(20, ge=2, le=10_000)
    raw_keep_days: float = number(2557.0, ge=30, le=36_525)
    observe_every_seconds: float = number(60.0, ge=1, le=3600)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.alert_backoff_max_seconds < self.alert_backoff_seconds:
            raise ValueError(
                "OperationsPolicy.alert_backoff_max_seconds must be >= alert_backoff_seconds "
                f"({self.alert_backoff_seconds:g}), was {self.alert_backoff_max_seconds:g}"
            )
