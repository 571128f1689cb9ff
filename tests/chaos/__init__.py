"""Seeded storms of faults over every recipe: afterwards the index is right, or as it was."""
