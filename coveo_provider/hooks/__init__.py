"""The hook, which makes a client of an Airflow connection."""
