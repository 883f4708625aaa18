"""The result of an auction: one output a bid, the prices of the caps, the certificate."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.auction.instance import AuctionInstance, chord_grid
from instgov_dagster.vocabulary.capital import (
    AuctionDecision,
    AuctionStatus,
    CapitalAuctionOutput,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The fields of one output, which are columns of the frame.
OUTPUT_FIELDS: Final = tuple(field.name for field in fields(CapitalAuctionOutput))

#: What the frame holds beside the outputs' fields. The numbers beside a bid's codes: the price of
#: its next unit in basis points, split into tail, scarce caps and trading costs, `priced_out_bps`
#: by which its value fell short of that price, its own cap, and the least that is left of any cap
#: it stands under.
RESULT_SCHEMA: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "strategy_id": pl.String(),
        "allocated": pl.Boolean(),
        "weight": pl.Float64(),
        "allocated_weight": pl.Float64(),
        "held_weight": pl.Float64(),
        "rank": pl.Int64(),
        "decision": pl.String(),
        "reason_codes": pl.List(pl.String),
        "mu_hat": pl.Float64(),
        "mu_contribution": pl.Float64(),
        "cvar_contribution": pl.Float64(),
        "liquidity_cost": pl.Float64(),
        "correlation_penalty": pl.Float64(),
        "data_quality_penalty": pl.Float64(),
        "model_decay_penalty": pl.Float64(),
        "provider_penalty": pl.Float64(),
        "time_decay_penalty": pl.Float64(),
        "vetoed": pl.Boolean(),
        "veto_reason": pl.String(),
        "priced_out_bps": pl.Float64(),
        "cap_weight": pl.Float64(),
        "cap_headroom": pl.Float64(),
        "tail_charge_bps": pl.Float64(),
        "cap_charge_bps": pl.Float64(),
        "cost_charge_bps": pl.Float64(),
    }
)

_COLUMNS: Final = RESULT_SCHEMA.names()
_KINDS: Final = RESULT_SCHEMA.dtypes()

_HEADER: Final = "auction"

_SYMBOL_NUMBERS: Final = (
    "half_spread", "impact", "traded", "reach", "buy_limits", "sell_limits",
)  # fmt: skip

_TEXTS: Final = pl.List(pl.String())
_NUMBERS: Final = pl.List(pl.Float64())
_PLACES: Final = pl.List(pl.Int64())

#: The columns of the table auction_certificate, one row an auction.
CERTIFICATE_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys(("status", "message"), pl.String()),
        "reason_codes": _TEXTS,
        **dict.fromkeys(
            ("hurdle", "confidence_level", "lambda_star", "objective", "upper_bound", "gap",
             "rounding", "forced_sale_penalty"), pl.Float64()
        ),
        "chord_ends": _NUMBERS,
        "symbols": _TEXTS,
        "scenario_columns": _PLACES,
        **dict.fromkeys(_SYMBOL_NUMBERS, _NUMBERS),
        "bid_ids": _TEXTS,
        "bid_symbols": _PLACES,
        **dict.fromkeys(("bid_values", "held", "caps", "weights"), _NUMBERS),
        **dict.fromkeys(("group_codes", "group_keys"), _TEXTS),
        **dict.fromkeys(("group_caps", "group_prices"), _NUMBERS),
        **dict.fromkeys(("member_groups", "member_bids"), _PLACES),
        "tail_measures": _TEXTS,
        **dict.fromkeys(("tail_limits", "tail_hurdles"), _NUMBERS),
        **dict.fromkeys(("tail_places", "tail_scenarios"), _PLACES),
        "tail_weights": _NUMBERS,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPrice:
    """What one more unit of a cap would add to the objective, and how much of the cap is free.

    ``price`` is value per unit of net asset value over the horizon; ``slack`` a fraction of net
    asset value (of CVaR for a CVaR limit).
    """

    code: ReasonCode
    key: str
    price: float
    slack: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Everything needed to prove the answer again without a solver.

    ``tails`` holds, for each scenario matrix, pairs of scenario number and tail weight;
    ``group_prices`` pairs of group number and price. ``objective`` is the value of the weights,
    ``upper_bound`` what no feasible weights exceed, ``gap`` the difference, of which
    ``rounding`` was made by rounding the weights to their quantum.
    """

    objective: float
    upper_bound: float
    gap: float
    rounding: float
    tails: tuple[tuple[tuple[int, float], ...], ...]
    group_prices: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuctionResult:
    """The answer to one auction; losers are in it too (roadmap 4.2, 4.4).

    ``bids`` has one row a bid in the order of the instance, with the columns of
    `RESULT_SCHEMA`. ``lambda_star`` is the hurdle at which the auction clears to cash, ``None``
    where it is not known; ``certificate`` is ``None`` on the steps of the ladder that have none.
    """

    status: AuctionStatus
    reason_codes: tuple[ReasonCode, ...]
    hurdle: float
    lambda_star: float | None
    message: str
    prices: tuple[ShadowPrice, ...]
    certificate: Certificate | None
    bids: pl.DataFrame

    def __post_init__(self) -> None:
        if not self.reason_codes:
            raise ValueError("AuctionResult.reason_codes must hold at least one, was ()")
        if (self.bids.columns, self.bids.dtypes) != (_COLUMNS, _KINDS):
            raise ValueError(
                f"AuctionResult.bids must have {RESULT_SCHEMA}, was {self.bids.schema}"
            )

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weight of each bid, shape ``(n_bids,)``."""
        return self.bids["weight"].to_numpy()

    @property
    def held(self) -> NDArray[np.float64]:
        """What each bid held before, shape ``(n_bids,)``."""
        return self.bids["held_weight"].to_numpy()

    def net(self, symbols: Sequence[str]) -> NDArray[np.float64]:
        """Sum the weights by symbol, 0 for a symbol without a bid."""
        return self._by_symbol(symbols, self.weights)

    def net_held(self, symbols: Sequence[str]) -> NDArray[np.float64]:
        """Sum what was held by symbol, 0 for a symbol without a bid."""
        return self._by_symbol(symbols, self.held)

    def net_gain(self, symbols: Sequence[str]) -> NDArray[np.float64]:
        """Sum, by symbol, the value the change of weights adds less what the trade costs.

        Shape ``(n_symbols,)``, fractions of net asset value: the mu_net of the order gates.
        """
        value, cost = self.bids["mu_hat"].to_numpy(), self.bids["liquidity_cost"].to_numpy()
        return self._by_symbol(symbols, value * (self.weights - self.held) - cost)

    def shares(self, symbol: str) -> tuple[tuple[str, float], ...]:
        """Split the net trade of one symbol over the strategies on its side; the shares sum to one.

        Empty where the net change is zero. What strategies pass to each other is in `transfers`.
        """
        names, change = self._changes(symbol)
        side = np.maximum(change * np.sign(change.sum()), 0.0)
        total = float(side.sum())
        if total == 0.0:
            return ()
        named = zip(names, (side / total).tolist(), strict=True)
        return tuple((name, share) for name, share in named if share > 0.0)

    def transfers(self, symbol: str) -> tuple[tuple[str, str, float], ...]:
        """List what strategies pass to each other inside the book: giver, taker, weight.

        Where one strategy's target falls and another's rises, the smaller side crosses without an
        order: no cost, no change of the net exposure.
        """
        names, change = self._changes(symbol)
        given, taken = np.maximum(-change, 0.0), np.maximum(change, 0.0)
        crossed = min(float(given.sum()), float(taken.sum()))
        if crossed == 0.0:
            return ()
        matrix = np.outer(given / given.sum(), taken / taken.sum()) * crossed
        pairs = zip(*np.nonzero(matrix), strict=True)
        return tuple((names[a], names[b], float(matrix[a, b])) for a, b in pairs)

    def _changes(self, symbol: str) -> tuple[list[str], NDArray[np.float64]]:
        at = [j for j, name in enumerate(self.bids["symbol"].to_list()) if name == symbol]
        return self.bids["strategy_id"].gather(at).to_list(), self.weights[at] - self.held[at]

    def lead_strategy(self, symbol: str) -> str:
        """Name the strategy a symbol's order belongs to: the largest grant, else the best rank.

        Raises
        ------
        ValueError
            If nobody bid for the symbol.
        """
        rows = self.bids.filter(pl.col("symbol") == symbol)
        if rows.is_empty():
            raise ValueError(f"symbol must have a bid, was {symbol!r}")
        best = rows.sort(["weight", "rank"], descending=[True, False])
        return str(best["strategy_id"][0])

    def _by_symbol(
        self, symbols: Sequence[str], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        place = {symbol: i for i, symbol in enumerate(symbols)}
        bids = self.bids["symbol"].to_list()
        at = np.fromiter((place.get(symbol, -1) for symbol in bids), np.intp, len(bids))
        wanted = at >= 0
        sums = np.bincount(at[wanted], weights=values[wanted], minlength=len(place))
        return sums.astype(np.float64)

    def row(self, j: int) -> CapitalAuctionOutput:
        """View one bid's outcome as the dataclass it is."""
        values: dict[str, Any] = self.bids.select(OUTPUT_FIELDS).row(j, named=True)
        values["decision"] = AuctionDecision(values["decision"])
        values["reason_codes"] = tuple(ReasonCode(code) for code in values["reason_codes"])
        veto = values["veto_reason"]
        values["veto_reason"] = None if veto is None else ReasonCode(veto)
        return CapitalAuctionOutput(**values)

    @property
    def outputs(self) -> tuple[CapitalAuctionOutput, ...]:
        """Every bid's outcome, in the order of the instance."""
        return tuple(self.row(j) for j in range(self.bids.height))

    def to_frame(self) -> pl.DataFrame:
        """Write the result: the bids, and in the first row's ``auction`` column the rest as JSON.

        Raises
        ------
        ValueError
            If there is no bid: an auction nobody bid in has no row to stand in.
        """
        if self.bids.is_empty():
            raise ValueError("an auction without bids must not be written, it has no row")
        header = json.dumps(self._header(), sort_keys=True, allow_nan=False)
        column = [header] + [None] * (self.bids.height - 1)
        return self.bids.with_columns(pl.Series(_HEADER, column, dtype=pl.String))

    def _header(self) -> dict[str, Any]:
        proof = self.certificate
        return {
            "status": self.status.value,
            "reason_codes": [code.value for code in self.reason_codes],
            "hurdle": self.hurdle,
            "lambda_star": self.lambda_star,
            "message": self.message,
            "prices": [[p.code.value, p.key, p.price, p.slack] for p in self.prices],
            "certificate": None
            if proof is None
            else {
                "objective": proof.objective,
                "upper_bound": proof.upper_bound,
                "gap": proof.gap,
                "rounding": proof.rounding,
                "tails": proof.tails,
                "group_prices": proof.group_prices,
            },
        }

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "AuctionResult":
        """Read a result written by `to_frame`, bit-equal; further columns are left aside.

        Raises
        ------
        ValueError
            If the header is missing or a column is not what it must be.
        """
        texts = frame[_HEADER].drop_nulls().to_list() if _HEADER in frame.columns else []
        if len(texts) != 1:
            raise ValueError(f"the frame must hold one auction header, was {len(texts)}")
        data = json.loads(texts[0])
        proof = data["certificate"]
        return cls(
            status=AuctionStatus(data["status"]),
            reason_codes=tuple(ReasonCode(code) for code in data["reason_codes"]),
            hurdle=data["hurdle"],
            lambda_star=data["lambda_star"],
            message=data["message"],
            prices=tuple(
                ShadowPrice(code=ReasonCode(code), key=key, price=price, slack=slack)
                for code, key, price, slack in data["prices"]
            ),
            certificate=None
            if proof is None
            else Certificate(
                objective=proof["objective"],
                upper_bound=proof["upper_bound"],
                gap=proof["gap"],
                rounding=proof["rounding"],
                tails=tuple(tuple((s, q) for s, q in tail) for tail in proof["tails"]),
                group_prices=tuple((g, y) for g, y in proof["group_prices"]),
            ),
            bids=frame.select(RESULT_SCHEMA.names()).cast(RESULT_SCHEMA),
        )


def certificate_frame(
    instance: AuctionInstance, result: AuctionResult, *, scenario_symbols: tuple[str, ...]
) -> pl.DataFrame:
    """Lay out an auction with its proof as one row, so that anyone can prove it again.

    Parameters
    ----------
    scenario_symbols
        The columns of the scenarios as they are stored, among which the auction's symbols are.

    Returns
    -------
    One row: scalars, and lists over symbols, bids, groups, memberships and tail weights. Where
    the auction has no certificate its numbers are null and its prices zero.
    """
    place = {symbol: i for i, symbol in enumerate(scenario_symbols)}
    measures = instance.scenarios.measures
    names = [next(m.name for m in measures if m.returns is t.returns) for t in instance.tails]
    columns: dict[str, Any] = {
        "status": result.status.value,
        "message": result.message,
        "reason_codes": [code.value for code in result.reason_codes],
        "hurdle": instance.hurdle,
        "confidence_level": instance.confidence_level,
        "lambda_star": result.lambda_star,
        "forced_sale_penalty": instance.policy.forced_sale_penalty,
        "chord_ends": chord_grid(instance.policy).tolist(),
        "symbols": list(instance.symbols),
        "scenario_columns": [place[symbol] for symbol in instance.symbols],
        **{name: getattr(instance, name).tolist() for name in _SYMBOL_NUMBERS},
        "bid_ids": list(instance.bid_ids),
        "bid_symbols": instance.symbol_of.tolist(),
        "bid_values": instance.values.tolist(),
        "held": instance.held.tolist(),
        "caps": instance.caps.tolist(),
        "weights": result.weights.tolist(),
        "group_codes": [group.code.value for group in instance.groups],
        "group_keys": [group.key for group in instance.groups],
        "group_caps": instance.group_caps.tolist(),
        "member_groups": instance.membership.group_of.tolist(),
        "member_bids": instance.membership.bid_of.tolist(),
        "tail_measures": [name.value for name in names],
        "tail_limits": [tail.limit for tail in instance.tails],
        "tail_hurdles": [tail.hurdle for tail in instance.tails],
        **_proof_columns(instance, result.certificate),
    }
    return pl.DataFrame({name: [columns[name]] for name in CERTIFICATE_SCHEMA}, CERTIFICATE_SCHEMA)


def _proof_columns(instance: AuctionInstance, proof: Certificate | None) -> dict[str, Any]:
    prices = np.zeros(len(instance.groups))
    for group, price in proof.group_prices if proof else ():
        prices[group] = price
    weights = [
        (place, scenario, weight)
        for place, tail in enumerate(proof.tails if proof else ())
        for scenario, weight in tail
    ]
    return {
        "objective": proof.objective if proof else None,
        "upper_bound": proof.upper_bound if proof else None,
        "gap": proof.gap if proof else None,
        "rounding": proof.rounding if proof else None,
        "group_prices": prices.tolist(),
        "tail_places": [place for place, _, _ in weights],
        "tail_scenarios": [scenario for _, scenario, _ in weights],
        "tail_weights": [weight for _, _, weight in weights],
    }
