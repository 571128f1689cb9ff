"""Notifications: what a load did, by any of Airflow's notifiers."""
