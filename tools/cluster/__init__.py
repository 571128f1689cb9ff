"""`make cluster`: a load over two Celery workers on this machine, with PostgreSQL, Redis and a local S3."""
