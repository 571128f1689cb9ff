"""Room 2: bytes cross the wire. Knows neither pandas nor Airflow."""
