"""Which column of a DataFrame feeds which key of a document."""
