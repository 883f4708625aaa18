"""Real quotes of a day replayed on the virtual clock of the market `files`."""
