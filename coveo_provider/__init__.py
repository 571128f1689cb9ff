"""Apache Airflow provider for Coveo's Push and Stream APIs."""

__version__ = "0.2.0"
