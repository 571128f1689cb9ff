"""What users hand in, read in batches: Parquet, CSV, NDJSON, JSON."""
