"""Files that documents name as their content: found, read, compressed."""
