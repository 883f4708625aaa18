"""What forbids a bid whatever the second brings: found once a night, looked up every cycle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.bars import SymbolStatus
from instgov_dagster.vocabulary.governance import StrategyLifecycle
from instgov_dagster.vocabulary.reason_table import Severity
from instgov_dagster.vocabulary.reasons import ReasonCode

Codes = tuple[ReasonCode, ...]

_STATUS_CODES = {
    SymbolStatus.INVALID_DATA: ReasonCode.INVALID_DATA,
    SymbolStatus.INSUFFICIENT_HISTORY: ReasonCode.INSUFFICIENT_HISTORY,
    SymbolStatus.STALE: ReasonCode.DATA_STALE,
}
_BLOCKING = frozenset(
    code for code in ReasonCode if code.severity in (Severity.REJECT, Severity.VETO)
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StandingBlocks:
    """The codes that block each pair of strategy and symbol, as ``[strategy][symbol]``.

    Attributes
    ----------
    forecast
        Where there is a finite forecast this second.
    silent
        Where there is none.
    """

    forecast: tuple[tuple[Codes, ...], ...]
    silent: tuple[tuple[Codes, ...], ...]

    def of(
        self,
        strategy_of: NDArray[np.intp],
        symbol_of: NDArray[np.intp],
        has_forecast: NDArray[np.bool_],
    ) -> list[Codes]:
        """Look the codes of every bid up, in the bids' order."""
        said, silent = self.forecast, self.silent
        triples = zip(strategy_of.tolist(), symbol_of.tolist(), has_forecast.tolist(), strict=True)
        return [said[k][n] if ok else silent[k][n] for k, n, ok in triples]


def standing_blocks(
    *,
    status: Sequence[SymbolStatus],
    is_eligible: NDArray[np.bool_],
    has_route: NDArray[np.bool_],
    is_estimated: NDArray[np.bool_],
    stages: Sequence[StrategyLifecycle],
    reasons: Mapping[tuple[int, int], Codes],
) -> StandingBlocks:
    """Find what blocks each pair: the symbol, the route, the stage, the forecast's own reasons.

    Parameters
    ----------
    is_estimated
        Whether a symbol's impact and spread are known, shape ``(n_symbols,)``.
    reasons
        What the night said of a forecast; only what rejects or vetoes blocks.
    """
    of_symbol = []
    for n, state in enumerate(status):
        codes: list[ReasonCode] = []
        if not is_eligible[n]:
            codes.append(_STATUS_CODES.get(state, ReasonCode.NO_VALID_PROVIDER))
        if not has_route[n]:
            codes.append(ReasonCode.SIM_ONLY)
        of_symbol.append((codes, not is_estimated[n]))
    rows: dict[bool, list[tuple[Codes, ...]]] = {True: [], False: []}
    for k, stage in enumerate(stages):
        ended = [ReasonCode.STRATEGY_DECOMMISSIONED] * (stage is StrategyLifecycle.DECOMMISSIONED)
        for has_forecast, kept in rows.items():
            line = []
            for n, (codes, is_unknown) in enumerate(of_symbol):
                found = [*codes, *ended]
                found += [ReasonCode.NO_IMPACT_ESTIMATE] * is_unknown
                found += [ReasonCode.FORECAST_NOT_FINITE] * (not has_forecast)
                found += [code for code in reasons.get((k, n), ()) if code in _BLOCKING]
                line.append(tuple(dict.fromkeys(found)))
            kept.append(tuple(line))
    return StandingBlocks(forecast=tuple(rows[True]), silent=tuple(rows[False]))
