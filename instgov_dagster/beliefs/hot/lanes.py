"""Many nights' panels folded side by side: each walk is bit for bit the one it is alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from instgov_dagster.beliefs.hot.fold import Fold, Parameters, Told
from instgov_dagster.beliefs.hot.tape import Bars, Floats, Tape
from instgov_dagster.beliefs.hot.walk import MarketPanel, Walk, loads_of
from instgov_dagster.beliefs.models import MODELS, Card, Family
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

_ROWS: Final = ("prices", "bases", "daily", "sigma", "trust")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneWalk:
    """One night's walk, and the fold as it stood before the night's last session.

    Attributes
    ----------
    loads
        What the night fitted through its last session.
    """

    walk: Walk
    before: Fold
    loads: Parameters | None

    def ending(self, last: Bars) -> Walk:
        """Walk the same panel again with another last session: only that one is folded anew."""
        fold = self.before.twin(Tape(self.before.policy, horizon=self.before.horizon))
        told = _last(fold, last, self.loads)
        walk = self.walk
        return replace(
            walk,
            prices=_ending(walk.prices, told.prices),
            bases=_ending(walk.bases, told.bases),
            daily=_ending(walk.daily, told.daily),
            sigma=_ending(walk.sigma, told.sigma),
            trust=_ending(walk.trust, told.trust),
            sigmas={n: _ending(rows, told.sigmas[n]) for n, rows in walk.sigmas.items()},
            mus={n: _ending(rows, told.mus[n]) for n, rows in walk.mus.items()},
            fold=fold,
        )


def _ending(rows: Floats, last: Floats) -> Floats:
    other = rows.copy()
    other[-1] = last
    return other


def _last(fold: Fold, bars: Bars, loads: Parameters | None) -> Told:
    if loads is not None:
        fold.load(loads)
    return fold.observe(bars)


def walk_lanes(
    panels: Sequence[MarketPanel],
    *,
    policy: ForecastPolicy,
    horizon: int,
    cards: Mapping[str, Card] = MODELS,
) -> tuple[LaneWalk, ...]:
    """Fold every model over every session of several panels at once.

    Parameters
    ----------
    panels
        Of one number of symbols and at least two sessions each; which symbols is no matter.

    Raises
    ------
    ValueError
        If the panels differ in their number of symbols, or one has a single session.

    Notes
    -----
    The panels' symbols stand side by side in the columns, each panel from its own first session
    on; what a model pools over the panel it pools by lane. Every operation is elementwise or a
    sum over one lane, so the numbers are those of `walk` bit by bit, which a test holds them to.
    """
    return tuple(each_lane(panels, policy=policy, horizon=horizon, cards=cards))


def each_lane(
    panels: Sequence[MarketPanel],
    *,
    policy: ForecastPolicy,
    horizon: int,
    cards: Mapping[str, Card] = MODELS,
) -> Iterator[LaneWalk]:
    """Give the walks of `walk_lanes` one after another; who lets go of each holds one at a time."""
    counts = {len(panel.symbols) for panel in panels}
    if len(counts) != 1 or min(len(panel.dates) for panel in panels) < 2:
        raise ValueError("panels must have one number of symbols and two sessions or more")
    batch = _Batch(panels, policy=policy, horizon=horizon, cards=cards)
    for lane in range(len(panels)):
        yield batch.finish(lane)


class _Batch:
    # All sessions but each panel's last, folded together; the last is every lane's own.
    def __init__(
        self,
        panels: Sequence[MarketPanel],
        *,
        policy: ForecastPolicy,
        horizon: int,
        cards: Mapping[str, Card],
    ) -> None:
        self._panels, self._horizon = panels, horizon
        self._n = len(panels[0].symbols)
        self._loads = [loads_of(panel) for panel in panels]
        self._before: dict[int, Fold] = {}
        longest = max(len(panel.dates) for panel in panels)
        tape = Tape(policy, horizon=horizon, lanes=len(panels))
        fold = Fold(self._n * len(panels), policy=policy, horizon=horizon, cards=cards, tape=tape)
        ids = {family: fold.names_of(family) for family in Family}
        shape = (longest, self._n * len(panels))
        self._rows = {name: np.full(shape, np.nan) for name in _ROWS}
        self._sigmas = {name: np.full(shape, np.nan) for name in ids[Family.SIGMA]}
        self._mus = {name: np.full(shape, np.nan) for name in ids[Family.MU]}
        self._fold_all(fold, _side_by_side(panels, longest))

    def _fold_all(self, fold: Fold, bars: Sequence[Floats]) -> None:
        ends: dict[int, list[int]] = {}
        for lane, panel in enumerate(self._panels):
            ends.setdefault(len(panel.dates) - 2, []).append(lane)
        for t in range(max(ends) + 1):
            for lane, loads in enumerate(self._loads):
                if t in loads and t < len(self._panels[lane].dates) - 1:
                    fold.load(loads[t]._replace(columns=loads[t].columns + lane * self._n))
            self._keep(t, fold.observe(Bars(*(rows[t] for rows in bars))))
            for lane in ends.get(t, ()):
                self._before[lane] = fold.lane(lane)

    def _keep(self, t: int, told: Told) -> None:
        for name, rows in self._rows.items():
            rows[t] = getattr(told, name)
        for name, rows in self._sigmas.items():
            rows[t] = told.sigmas[name]
        for name, rows in self._mus.items():
            rows[t] = told.mus[name]

    def finish(self, lane: int) -> LaneWalk:
        panel, before = self._panels[lane], self._before[lane]
        last = len(panel.dates) - 1
        columns = slice(lane * self._n, (lane + 1) * self._n)
        fold = before.twin(Tape(before.policy, horizon=self._horizon))
        loads = self._loads[lane].get(last)
        told = _last(fold, panel.bars(last), loads)

        def rows(batch: Floats, final: Floats) -> Floats:
            mine = np.ascontiguousarray(batch[: last + 1, columns])
            mine[-1] = final
            return mine

        walk = Walk(
            dates=panel.dates,
            symbols=panel.symbols,
            horizon=self._horizon,
            **{name: rows(self._rows[name], getattr(told, name)) for name in _ROWS},
            sigmas={name: rows(batch, told.sigmas[name]) for name, batch in self._sigmas.items()},
            mus={name: rows(batch, told.mus[name]) for name, batch in self._mus.items()},
            fold=fold,
        )
        return LaneWalk(walk=walk, before=before, loads=loads)


def _side_by_side(panels: Sequence[MarketPanel], longest: int) -> list[Floats]:
    # Close, open, high and low, (longest, lanes x symbols) each, NaN past a panel's end.
    n = len(panels[0].symbols)
    out = []
    for name in ("close", "open", "high", "low"):
        rows = np.full((longest, n * len(panels)), np.nan)
        for lane, panel in enumerate(panels):
            held = getattr(panel, name)
            if held is not None:
                rows[: len(panel.dates), lane * n : (lane + 1) * n] = held
        out.append(rows)
    return out
