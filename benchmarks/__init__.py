"""One question per file, one printed answer: a ratio to a named baseline of the same run."""
