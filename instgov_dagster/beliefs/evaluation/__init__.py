"""What the models were worth out of sample: scores with errors, the trials ledger, pictures."""
