"""Security providers, identities, and who may see an item."""
