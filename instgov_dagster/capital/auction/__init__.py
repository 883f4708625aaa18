"""The capital auction: bids in, weights, prices, reasons and a certificate out (phase 4)."""
