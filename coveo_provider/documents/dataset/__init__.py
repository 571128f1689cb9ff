"""Parquet parts and the manifest beside them."""
