"""The command line: ``coveo …`` for everybody, and ``airflow coveo …`` where Airflow is 3.2 or later."""
