"""Prove a night's auction again from DuckDB alone: verify_certificate.py data/warehouse.duckdb."""

import sys

import duckdb
import numpy as np

con = duckdb.connect(sys.argv[1], read_only=True)
night = con.sql("FROM auction_certificate ORDER BY recorded_at DESC LIMIT 1")
c = type("Night", (), dict(zip(night.columns, map(np.array, night.fetchone()), strict=True)))
x, s, y, g, b = c.weights, c.bid_symbols, c.group_prices, c.member_groups, c.member_bids
net, held = (np.bincount(s, part, len(c.symbols)) for part in (x, c.held))
kinks, rare, fine = c.reach[:, None] * c.chord_ends, 1 - c.confidence_level, c.forced_sale_penalty
impact = c.impact[:, None] * ((kinks + c.traded[:, None]) ** 1.5 - c.traded[:, None] ** 1.5)


def cost(i, to):  # half the spread, the chords of the impact, the penalty of a forced sale
    size, forced = np.abs(to - held[i]), np.maximum(held[i] - to - c.sell_limits[i], 0)
    return c.half_spread[i] * size + np.interp(size - forced, kinks[i], impact[i]) + fine * forced


slack = np.r_[x, c.caps - x, c.group_caps - np.bincount(g, x[b], len(y)), c.buy_limits + held - net]
mu, paid = c.bid_values, np.bincount(b, y[g], len(x))
value, worth, bound = x @ mu, mu - paid, y @ c.group_caps
sql = """SELECT returns FROM stress_scenarios WHERE measure = ? AND "asof" = ?
QUALIFY recorded_at = max(recorded_at) OVER () ORDER BY scenario_date"""
for t, (name, limit, lam) in enumerate(zip(c.tail_measures, c.tail_limits, c.tail_hurdles)):  # noqa: B905
    rows = con.execute(sql, [name, c.asof.item()]).fetchall()
    r = np.array([row[0] for row in rows])[:, c.scenario_columns]
    m = rare * len(r)  # the scenarios in the tail
    q = np.bincount(c.tail_scenarios, c.tail_weights * (c.tail_places == t), len(r))[: len(r)]
    cvar = -np.interp(m, np.arange(len(r) + 1), np.r_[0, np.sort(r @ net).cumsum()]) / m
    slack = np.r_[slack, limit - cvar, q.sum() - m * q, q.sum() - lam]
    value, worth, bound = value - lam * cvar, worth + (q @ r)[s], bound + (q.sum() - lam) * limit
# The most a symbol can add stands on a kink of its concave gain.
for i, bids in enumerate(np.split(np.lexsort((-worth, s)), np.bincount(s).cumsum()[:-1])):
    ends, tops = (np.r_[0, part[bids].cumsum()] for part in (c.caps, c.caps * worth))
    most = min(ends[-1], held[i] + min(c.buy_limits[i], c.reach[i]))
    to = np.clip(np.r_[ends, held[i] + np.r_[kinks[i], -kinks[i], -c.sell_limits[i]]], 0, most)
    bound, value = bound + np.max(np.interp(to, ends, tops) - cost(i, to)), value - cost(i, net[i])
sys.stdout.write(f"value {value:.12f} bound {bound:.12f} gap {bound - value:.1e}\n")
sys.exit(not (bound - value <= 1e-9 and slack.min() > -1e-8 and abs(bound - c.upper_bound) < 1e-11))
