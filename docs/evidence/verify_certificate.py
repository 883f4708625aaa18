"""Prove a night's auction again from DuckDB alone: verify_certificate.py data/warehouse.duckdb."""

import sys

import duckdb
import numpy as np

con = duckdb.connect(sys.argv[1], read_only=True)
night = con.sql("SELECT * FROM auction_certificate ORDER BY recorded_at DESC LIMIT 1")
c = dict(zip(night.columns, map(np.array, night.fetchone()), strict=True))
x, s, lam, n = c["weights"], c["bid_symbols"], c["tail_hurdles"], len(c["symbols"])
day = c["asof"].item()
net, held = np.bincount(s, x, n), np.bincount(s, c["held"], n)
before, kinks = c["traded"][:, None], c["reach"][:, None] * c["chord_ends"]
impact = c["impact"][:, None] * ((before + kinks) ** 1.5 - before**1.5)


def cost(i, to):  # half the spread, the chords of the impact, the penalty of a forced sale
    size, forced = np.abs(to - held[i]), np.maximum(held[i] - to - c["sell_limits"][i], 0)
    chords = np.interp(size - forced, kinks[i], impact[i])
    return c["half_spread"][i] * size + chords + c["forced_sale_penalty"] * forced


gross = np.bincount(c["member_groups"], x[c["member_bids"]], len(c["group_caps"]))
slack = [x, c["caps"] - x, c["group_caps"] - gross, c["buy_limits"] + held - net]
value = x @ c["bid_values"] - sum(cost(i, net[i]) for i in range(n))
paid = np.bincount(c["member_bids"], c["group_prices"][c["member_groups"]], len(x))
worth, bound = c["bid_values"] - paid, c["group_prices"] @ c["group_caps"]
for t, name in enumerate(c["tail_measures"]):
    rows = con.execute(
        """SELECT returns FROM stress_scenarios WHERE measure = ? AND "asof" = ?
        QUALIFY recorded_at = max(recorded_at) OVER () ORDER BY scenario_date""",
        [name, day],
    )
    returns = np.array([row[0] for row in rows.fetchall()])[:, c["scenario_columns"]]
    mine, m = c["tail_places"] == t, (1 - c["confidence_level"]) * len(returns)
    q = np.bincount(c["tail_scenarios"][mine], c["tail_weights"][mine], len(returns))
    worst, k = np.sort(-returns @ net)[::-1], int(m + 1e-9)
    cvar = (worst[:k].sum() + (m - k) * worst[k]) / m
    slack += [c["tail_limits"][t] - cvar, q.sum() * (1 + 1e-12) / m - q, q.sum() - lam[t] + 1e-12]
    value, worth = value - lam[t] * cvar, worth + (q @ returns)[s]
    bound += (q.sum() - lam[t]) * c["tail_limits"][t]
for i in range(n):  # the most a symbol can add stands on a kink of its concave gain
    bids = np.flatnonzero(s == i)[np.argsort(-worth[s == i])]
    ends = np.append(0, c["caps"][bids].cumsum())
    most = min(ends[-1], held[i] + min(c["buy_limits"][i], c["reach"][i]))
    last = [most, held[i] - c["sell_limits"][i]]
    to = np.clip(np.concatenate([ends, held[i] + kinks[i], held[i] - kinks[i], last]), 0, most)
    gain = np.interp(to, ends, np.append(0, (worth * c["caps"])[bids].cumsum()))
    bound += np.max(gain - cost(i, to))
least, gap = min(np.min(part) for part in slack), bound - value
sys.stdout.write(f"value {value:.12f} bound {bound:.12f} gap {gap:.2e} least slack {least:.2e}\n")
sys.exit(not (gap <= 1e-8 and least >= -1e-8 and abs(bound - c["upper_bound"]) <= 1e-11))
