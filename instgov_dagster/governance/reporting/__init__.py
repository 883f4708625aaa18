"""What governance asks, as tables: every rule with its threshold, every control with its proof."""
