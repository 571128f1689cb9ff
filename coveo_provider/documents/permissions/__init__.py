"""Who may see an item: the model, its JSON, and columns of it."""
