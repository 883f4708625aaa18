"""A session's minutes on their way into the event log, beside the loop and never in its way."""

import logging
import queue
import threading
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import dagster as dg

from instgov_dagster.defs.automation.alerts import LOGGER, send_alert
from instgov_dagster.defs.reporting import plain
from instgov_dagster.vocabulary.reasons import ReasonCode

if TYPE_CHECKING:
    from instgov_dagster.loop.live.report import Minute

#: The asset a session's minutes are observations of.
OBSERVED: Final = "live_decisions"
# Minutes that may wait for a slow event log; what comes beyond is left out and counted.
_MOST_WAITING: Final = 8
_LAST_SECONDS: Final = 10.0


class MinuteTeller:
    """Writes observations from a thread of its own while a session leads.

    Parameters
    ----------
    home
        The installation, as alerts name it.

    Notes
    -----
    The event log is not the audit: where it cannot be written the session goes on, the journal
    holds every cycle, and one alert says what failed.
    """

    def __init__(self, context: dg.AssetExecutionContext, home: str) -> None:
        self._context = context
        self._home = home
        self._minutes: queue.SimpleQueue[Minute | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, daemon=True, name="minutes")
        self._is_failing = False
        self.left_out = 0

    def tell(self, minute: "Minute") -> None:
        """Hand over a minute; it never waits."""
        if self._minutes.qsize() >= _MOST_WAITING:
            self.left_out += 1
        else:
            self._minutes.put(minute)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._minutes.put(None)
        self._thread.join(_LAST_SECONDS)

    def _write(self) -> None:
        while (minute := self._minutes.get()) is not None:
            facts = {name: plain(value) for name, value in asdict(minute).items()}
            try:
                self._context.log_event(
                    dg.AssetObservation(
                        OBSERVED,
                        partition=self._context.partition_key,
                        metadata={**facts, "left_out": self.left_out},
                    )
                )
            except Exception as failure:  # noqa: BLE001  # whatever the storage raises
                self._alarm(failure)
            else:
                self._is_failing = False

    def _alarm(self, failure: Exception) -> None:
        if self._is_failing:
            return  # said when it began
        self._is_failing = True
        code = ReasonCode.EVENT_LOG_UNWRITABLE
        send_alert(
            LOGGER,
            logging.ERROR,
            "event_log_unwritable",
            home=self._home,
            reasons=[code.value],
            message=f"{code.sentence} {type(failure).__name__}",
            run_id=self._context.run.run_id,
        )
