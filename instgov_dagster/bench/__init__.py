"""Ours beside named peers, measured in one run; nothing here decides anything."""
