"""Room 3: what waits without a worker."""
