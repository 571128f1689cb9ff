"""One value of a document as JSON, and nested lists of Arrow."""
