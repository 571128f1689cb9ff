"""Rows become JSON, and JSON becomes chunks."""
