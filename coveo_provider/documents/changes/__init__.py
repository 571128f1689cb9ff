"""What changed since the last successful run."""
