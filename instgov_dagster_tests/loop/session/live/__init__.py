"""Sessions of the market live: over the loopback, by kills, and by what may reach the broker."""
