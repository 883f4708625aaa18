"""What a walk shows: measures, benchmarks, the answer, pictures and the report."""
