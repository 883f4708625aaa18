"""The steps of the night, one file a wing; each takes tables and gives one table."""
