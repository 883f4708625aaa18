"""The scenarios of a night as values: one matrix a measure, one column a symbol."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.cvar import book_losses, cvar
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.reasons import ReasonCode

# A second asks for the losses of a handful of books, each several times.
_BOOKS_KEPT: Final = 8
# The columns of the symbols the last books held, where these are fewer than one in three.
_BLOCKS_KEPT: Final = 2
_FEW: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenarioMeasure:
    """One CVaR measure: the returns it is taken on and what multiplies it.

    ``returns`` has shape ``(n_scenarios, n_symbols)`` in the order of ``ScenarioSet.symbols``,
    ``end_dates`` shape ``(n_scenarios,)``. A multiplier above 1 acts on max(CVaR, 0). ``proxies``
    are the symbols whose column is their class's, because they have no history of their own.
    """

    name: RiskMeasure
    end_dates: NDArray[np.datetime64]
    returns: NDArray[np.float64]
    multiplier: float
    reason_codes: tuple[ReasonCode, ...]
    proxies: tuple[str, ...] = ()
    is_finite: bool = field(init=False)
    _alone: dict[float, NDArray[np.float64]] = field(init=False, repr=False, default_factory=dict)
    _books: dict[bytes, NDArray[np.float64]] = field(init=False, repr=False, default_factory=dict)
    _risks: dict[tuple[bytes, float], float] = field(init=False, repr=False, default_factory=dict)
    _blocks: dict[bytes, NDArray[np.float64]] = field(init=False, repr=False, default_factory=dict)
    _columns: list[NDArray[np.float64]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.returns.ndim != 2 or self.end_dates.shape != (self.returns.shape[0],):
            raise ValueError(
                f"{self.name}.returns must be (n_scenarios, n_symbols) with one date a row, was "
                f"{self.returns.shape} with {self.end_dates.shape}"
            )
        if not self.multiplier >= 1.0 or not np.isfinite(self.multiplier):
            raise ValueError(f"{self.name}.multiplier must be >= 1, was {self.multiplier!r}")
        # Judged once a night, not once a second: from here on nobody may write the numbers.
        self.returns.setflags(write=False)
        object.__setattr__(self, "is_finite", bool(np.isfinite(self.returns).all()))

    @property
    def by_column(self) -> NDArray[np.float64]:
        """The same returns with each symbol's in one piece of memory; made once, when asked for.

        A book holds a few of many symbols, so its losses touch a few columns.
        """
        if not self._columns:
            columns = np.asfortranarray(self.returns)
            columns.setflags(write=False)
            self._columns.append(columns)
        return self._columns[0]

    def losses(self, net: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the losses of a book, shape ``(n_scenarios,)``; the last few books' are kept.

        Parameters
        ----------
        net
            Shape ``(n_symbols,)``, fractions of net asset value.

        Raises
        ------
        ValueError
            If the shape is wrong or a weight is not finite.
        """
        key = net.tobytes()
        if key not in self._books:
            losses = self._losses(net)
            losses.setflags(write=False)
            if len(self._books) >= _BOOKS_KEPT:
                self._books.pop(next(iter(self._books)))
            self._books[key] = losses
        return self._books[key]

    def _losses(self, net: NDArray[np.float64]) -> NDArray[np.float64]:
        # The books of one second, and mostly of the next, hold the same symbols: their columns
        # are laid side by side once.
        held = np.flatnonzero(net)
        is_wide = held.size * _FEW >= net.size or net.shape != self.returns.shape[1:]
        if is_wide:
            return book_losses(self.by_column, net)
        key = held.tobytes()
        if key not in self._blocks:
            if len(self._blocks) >= _BLOCKS_KEPT:
                self._blocks.pop(next(iter(self._blocks)))
            self._blocks[key] = self.by_column[:, held]
        return book_losses(self._blocks[key], net[held])

    def cvar(self, net: NDArray[np.float64], confidence_level: float) -> float:
        """Give the CVaR of a book before the multiplier; the last few books' are kept.

        Parameters and errors as `losses` and `instgov_dagster.capital.cvar.cvar`.
        """
        key = net.tobytes(), confidence_level
        if key not in self._risks:
            value = cvar(self.losses(net), confidence_level=confidence_level)
            if len(self._risks) >= _BOOKS_KEPT:
                self._risks.pop(next(iter(self._risks)))
            self._risks[key] = value
        return self._risks[key]

    def standalone_cvar(self, confidence_level: float) -> NDArray[np.float64]:
        """Give the CVaR of a unit of each symbol alone, shape ``(n_symbols,)``; kept once known.

        NaN where a return of the symbol is not finite.
        """
        if confidence_level not in self._alone:
            is_known = np.isfinite(self.returns.sum(axis=0)).tolist()
            self._alone[confidence_level] = np.array(
                [
                    cvar(-self.by_column[:, i], confidence_level=confidence_level) if ok else np.nan
                    for i, ok in enumerate(is_known)
                ]
            )
        return self._alone[confidence_level]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenarioSet:
    """The scenarios of one night: one column a symbol, the current measure first."""

    symbols: tuple[str, ...]
    measures: tuple[ScenarioMeasure, ...]
    _cuts: dict[tuple[str, ...], "ScenarioSet"] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        names = [measure.name for measure in self.measures]
        if not names or names[0] is not RiskMeasure.CURRENT or len(set(names)) != len(names):
            raise ValueError(f"measures must be distinct and begin with CURRENT, were {names}")
        for measure in self.measures:
            if measure.returns.shape[1] != len(self.symbols):
                raise ValueError(
                    f"{measure.name}.returns must have {len(self.symbols)} columns, "
                    f"was {measure.returns.shape[1]}"
                )

    @property
    def current(self) -> ScenarioMeasure:
        """The measure the hurdle and the marginal limit are taken on."""
        return self.measures[0]

    def select(self, symbols: tuple[str, ...]) -> "ScenarioSet":
        """Keep the columns of ``symbols``, in that order; the last cut is kept.

        Raises
        ------
        ValueError
            If a symbol has no scenarios: what cannot be measured cannot be held.
        """
        if symbols == self.symbols:
            return self
        if symbols not in self._cuts:
            self._cuts.clear()
            self._cuts[symbols] = self._cut(symbols)
        return self._cuts[symbols]

    def _cut(self, symbols: tuple[str, ...]) -> "ScenarioSet":
        place = {symbol: i for i, symbol in enumerate(self.symbols)}
        missing = [symbol for symbol in symbols if symbol not in place]
        if missing:
            raise ValueError(f"symbols must have scenarios, without any were {missing}")
        wanted = frozenset(symbols)
        columns = np.array([place[symbol] for symbol in symbols], dtype=np.intp)
        cut: dict[int, NDArray[np.float64]] = {}
        measures = []
        for measure in self.measures:
            key = id(measure.returns)  # a multiplied measure shares its matrix, and keeps doing so
            if key not in cut:
                cut[key] = np.ascontiguousarray(measure.returns[:, columns])
            measures.append(
                ScenarioMeasure(
                    name=measure.name,
                    end_dates=measure.end_dates,
                    returns=cut[key],
                    multiplier=measure.multiplier,
                    reason_codes=measure.reason_codes,
                    proxies=tuple(name for name in measure.proxies if name in wanted),
                )
            )
        return ScenarioSet(symbols=symbols, measures=tuple(measures))
