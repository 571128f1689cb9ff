"""Security identities: groups, members, aliases, and who can see what. Knows neither HTTP nor Airflow."""
