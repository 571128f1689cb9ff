"""Where documents meet the API: a load is checked and encoded into chunks on disk, then sent in containers."""
