"""Decorators of tasks: what a function returns is sent to Coveo."""
