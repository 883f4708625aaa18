"""Sessions as a whole: what they tell while they run, and real quotes under them."""
