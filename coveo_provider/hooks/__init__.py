"""Room 3: an Airflow connection becomes a client."""
