"""The outside world: clock, configuration, stores, journal, markets, broker; no decisions."""
