"""The sandbox, over its real socket."""
