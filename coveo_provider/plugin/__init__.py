"""Pages in Airflow's UI: plan and report of a load, and the sources that DAGs load."""
