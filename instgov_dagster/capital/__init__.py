"""Capital: impact, CVaR, the auction, the risk gates and the execution plan (phases 4, 5, 8)."""
