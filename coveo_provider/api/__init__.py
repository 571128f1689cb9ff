"""The client of Coveo's APIs: calls, retries and answers. It knows neither data frames nor Airflow."""
