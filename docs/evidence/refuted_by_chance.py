"""How often twenty years of exact forecasts are refuted by chance: refuted_by_chance.py [PATHS]."""

import sys

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats

from instgov_dagster.capital.coverage import e_process

NIGHTS, HORIZON, WINDOW, TAIL, LIMIT = 5_027, 5, 251, 0.05, 20.0
PATHS = int(sys.argv[1]) if len(sys.argv) > 1 else 400


def of_normal(rng, size):
    return rng.standard_normal(size)


def of_student(rng, size):
    return rng.standard_t(5, size) * np.sqrt(3 / 5)


def law_of(draw):  # value at risk and CVaR of five independent sessions
    if draw is of_normal:
        quantile = stats.norm.isf(TAIL)
        return np.sqrt(HORIZON) * np.array([quantile, stats.norm.pdf(quantile) / TAIL])
    losses = draw(np.random.default_rng(1), (4_000_000, HORIZON)).sum(axis=1)
    quantile = np.quantile(losses, 1 - TAIL)
    return quantile, losses[losses > quantile].mean()


def nightly(statistics):  # the wealth of each night, of its window alone and of all before it
    both = np.ones((2, HORIZON, statistics.size))
    for lane in range(HORIZON):
        fed = statistics[lane::HORIZON]
        whole = e_process(fed, max_bet=0.5)
        moved = e_process(sliding_window_view(fed, WINDOW)[1:], max_bet=0.5)[:, -1]
        last = (np.arange(statistics.size) - lane) // HORIZON
        for row, path in zip(both, (np.concatenate([whole[:WINDOW], moved]), whole), strict=True):
            row[lane] = np.where(last >= 0, path[np.maximum(last, 0)], 1.0)
    return both.mean(axis=1)


for draw in (of_normal, of_student):
    var, cvar = law_of(draw)
    rng, highest = np.random.default_rng(0), []
    for _ in range(PATHS):
        daily = draw(rng, NIGHTS + HORIZON - 1)
        losses = np.convolve(daily, np.ones(HORIZON), "valid")
        wealth = nightly(np.maximum(losses - var, 0) / (TAIL * (cvar - var)))
        highest.append(wealth.max(axis=1))
    window, whole = (np.array(highest) >= LIMIT).mean(axis=0)
    told = f"{window:.2%} of paths by the window, {whole:.2%} by all outcomes"
    sys.stdout.write(f"{draw.__name__}: {told}\n")
