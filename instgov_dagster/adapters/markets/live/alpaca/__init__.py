"""Alpaca, through its own client: the wire under it, bars, quotes."""
