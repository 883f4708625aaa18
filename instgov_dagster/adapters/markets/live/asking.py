"""One question to one provider: how often it is asked, how long, and what a refusal is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_exponential

from instgov_dagster.adapters.markets.live.limits import TokenBucket
from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.adapters.runtime.turns import Turns
from instgov_dagster.bars.providers import reason_for_status, tries_allowed
from instgov_dagster.vocabulary.bars import Purpose
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

# A provider that asks for more than a year is asked no more: the deadline ends it anyway.
_LONGEST_SECONDS: Final = 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """What came back for one request: the status, and the body as received."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class NoAnswerError(Exception):
    """No whole answer came: a time-out, a lost connection, a body cut short.

    Neither an ``OSError`` nor named like a time-out: the clients below would send it again.
    """


class ProviderRefused(DataRejected):
    """A provider did not give what was asked for; the reason says why, the status how.

    Parameters
    ----------
    provider, symbol
        Who was asked for what.
    status
        Of the last answer; ``None`` where none came whole.
    requests
        How many requests the question cost.
    """

    def __init__(
        self,
        reason_code: ReasonCode,
        detail: str,
        *,
        provider: str,
        symbol: str,
        status: int | None,
        requests: int = 1,
    ) -> None:
        super().__init__(reason_code, detail)
        self.provider = provider
        self.symbol = symbol
        self.status = status
        self.requests = requests


class _Refusal(Exception):  # noqa: N818  # carries one try's outcome to the policy that judges it
    def __init__(self, status: int | None, wait_until: datetime | None, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.wait_until = wait_until
        self.detail = detail


class Asker:
    """Asks with patience bounded by the policy: tries, pauses, a deadline and a rate.

    Parameters
    ----------
    policy
        Tries, backoff, deadline and the requests a minute of each provider.
    clock
        What the pauses are made on.
    turns
        Whom a provider's rate is shared with, by its name; this process alone by default.
    """

    def __init__(
        self,
        policy: ProviderPolicy,
        *,
        clock: Clock,
        turns: Callable[[str], Turns] | None = None,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._buckets = {
            name: TokenBucket(rate, clock=clock, turns=turns(name) if turns else None)
            for name, rate in policy.requests_per_minute
        }

    def ask(
        self, request: Callable[[], RawAnswer], *, provider: str, symbol: str, purpose: Purpose
    ) -> RawAnswer:
        """Make a request until it is answered, refused for good, or patience ends.

        Parameters
        ----------
        request
            Sends exactly one request; raises `NoAnswerError` where no whole answer came.

        Raises
        ------
        ProviderRefused
            With the reason of the last answer's status, or ``PROVIDER_TIMEOUT``.
        """
        sent = 0
        deadline = self._clock.now() + timedelta(seconds=self._policy.deadline_seconds)

        def once() -> RawAnswer:
            nonlocal sent
            self._buckets[provider].take()
            sent += 1
            return self._judge(request)

        def is_over(state: RetryCallState) -> bool:
            pause = timedelta(seconds=state.upcoming_sleep)
            allowed = tries_allowed(_refusal(state).status, purpose, self._policy)
            return sent >= allowed or self._clock.now() + pause > deadline

        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, _Refusal)),
            stop=is_over,
            wait=self._pause,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(once)
        except _Refusal as refusal:
            raise ProviderRefused(
                _reason(refusal.status),
                f"{provider} did not give {symbol}: {refusal.detail}",
                provider=provider,
                symbol=symbol,
                status=refusal.status,
                requests=sent,
            ) from None  # the chain below may name an address with a key in it

    def _judge(self, request: Callable[[], RawAnswer]) -> RawAnswer:
        try:
            answer = request()
        except NoAnswerError as error:
            raise _Refusal(None, None, str(error)) from None
        if 200 <= answer.status < 300:
            return answer
        wait_until = retry_after(answer.headers, now=self._clock.now())
        raise _Refusal(answer.status, wait_until, f"status {answer.status}")

    def _pause(self, state: RetryCallState) -> float:
        policy = self._policy
        backoff = wait_exponential(
            multiplier=policy.backoff_first_seconds, max=policy.backoff_max_seconds
        )(state)
        told = _refusal(state).wait_until
        asked = 0.0 if told is None else (told - self._clock.now()).total_seconds()
        return max(backoff, asked)

    def _sleep(self, seconds: float) -> None:
        self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))


def _refusal(state: RetryCallState) -> _Refusal:
    error = None if state.outcome is None else state.outcome.exception()
    if not isinstance(error, _Refusal):
        raise TypeError(f"only a refusal is asked again, was {error!r}")
    return error


def _reason(status: int | None) -> ReasonCode:
    return ReasonCode.PROVIDER_TIMEOUT if status is None else reason_for_status(status)


def retry_after(headers: Mapping[str, str], *, now: datetime) -> datetime | None:
    """Read when a provider wants to be asked again: seconds or a date (RFC 9110, 10.2.3)."""
    text = next((v for k, v in headers.items() if k.lower() == "retry-after"), "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return now + timedelta(seconds=min(int(text), _LONGEST_SECONDS))
    try:
        told = parsedate_to_datetime(text)
    except ValueError:
        return None
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
