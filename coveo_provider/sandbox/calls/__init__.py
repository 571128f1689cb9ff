"""One function for each route the sandbox serves."""
