"""What became of a load, as the source's log and item count tell it. Knows neither Airflow nor HTTP."""
