"""Items on their way into the index: their rules, the writing, the log."""
