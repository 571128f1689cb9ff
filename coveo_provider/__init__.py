"""Apache Airflow provider for Coveo's Push and Stream APIs."""

__version__ = "0.1.0"
