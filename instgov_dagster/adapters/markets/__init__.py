"""The markets: simulated, files; what each delivers is judged elsewhere."""
