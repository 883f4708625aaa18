"""The words of a veto: what a rule found, and a veto that stands."""

import math
from dataclasses import dataclass
from datetime import date

from instgov_dagster.vocabulary.reasons import ReasonCode

ALL = "*"  # a veto on every strategy or every symbol

#: What holds while a limit is crossed: judged anew by every night or cycle, never sticky.
CONDITIONS = frozenset(
    {
        ReasonCode.VETO_CVAR,
        ReasonCode.VETO_LEVERAGE,
        ReasonCode.VETO_DRAWDOWN,
        ReasonCode.VETO_MODEL_DECAY,
        ReasonCode.VETO_HISTORY,
        ReasonCode.VETO_QUALITY,
    }
)

#: What refuses increases and takes nothing away from a holding (SPEC 7).
INCREASES_ONLY = CONDITIONS | {ReasonCode.VETO_CORRELATED_WINS}


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoFinding:
    """The answer of one veto rule.

    Attributes
    ----------
    trigger
        The rule, ``veto.rule``; one veto may have several.
    statistic
        What was measured; ``inf`` where an input was not finite, which fires.
    n
        How many observations it rests on; too few do not fire.
    """

    trigger: str
    fired: bool
    statistic: float
    threshold: float
    n: int
    reason_code: ReasonCode

    def __post_init__(self) -> None:
        if not self.trigger or self.n < 0:
            raise ValueError(
                f"a finding names its trigger and n >= 0, was {self.trigger!r} {self.n}"
            )
        if math.isnan(self.statistic) or math.isnan(self.threshold):
            raise ValueError(f"the numbers of {self.trigger} must not be NaN")
        if not self.fired and not math.isfinite(self.statistic):
            raise ValueError(f"{self.trigger} must fire on what it cannot measure")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedFinding:
    """What a rule found, and on whom: a strategy, a symbol, or every one of them."""

    strategy_id: str
    symbol: str
    finding: VetoFinding

    def __post_init__(self) -> None:
        if not self.strategy_id or not self.symbol:
            raise ValueError(f"a finding names a strategy and a symbol, {ALL!r} for every one")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class VetoKey:
    """Which veto is meant: on whom it was raised, by which code, on which day."""

    strategy_id: str
    symbol: str
    reason_code: str
    raised_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Veto:
    """A veto that was raised on a strategy and a symbol; it stands until cleared or outlived."""

    strategy_id: str
    symbol: str
    reason_code: ReasonCode
    trigger: str
    raised_on: date
    statistic: float
    threshold: float
    n: int
    cleared_on: date | None = None

    def __post_init__(self) -> None:
        if not self.strategy_id or not self.symbol:
            raise ValueError(f"a veto names a strategy and a symbol, {ALL!r} for every one")
        if not self.reason_code.startswith("VETO_"):
            raise ValueError(f"Veto.reason_code must be a veto's code, was {self.reason_code}")
        if not self.trigger:
            raise ValueError("Veto.trigger must name the rule that raised it")
        if self.cleared_on is not None and self.cleared_on < self.raised_on:
            raise ValueError(f"Veto.cleared_on must not precede {self.raised_on}")

    @property
    def key(self) -> VetoKey:
        """What an operator names to clear it."""
        return VetoKey(
            strategy_id=self.strategy_id,
            symbol=self.symbol,
            reason_code=self.reason_code.value,
            raised_on=self.raised_on,
        )

    @property
    def is_condition(self) -> bool:
        """Whether it stands only as long as a limit is crossed."""
        return self.reason_code in CONDITIONS

    @property
    def bars_increases_only(self) -> bool:
        """Whether what is held may stay."""
        return self.reason_code in INCREASES_ONLY

    def touches(self, strategy_id: str | None, symbol: str | None) -> bool:
        """Tell whether the veto speaks of this strategy and symbol; unknown ones are touched."""
        return self.strategy_id in (ALL, strategy_id or self.strategy_id) and self.symbol in (
            ALL,
            symbol or self.symbol,
        )
