"""Every number that decides something, one file a wing; config gathers them."""
