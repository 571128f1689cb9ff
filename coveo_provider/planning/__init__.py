"""
The plan of a load: what it would change in the index, before anything is sent.

Knows datasets and what is remembered of the last load, neither HTTP nor Airflow.
"""
