"""The socket, the routes and the planned faults of the sandbox."""
