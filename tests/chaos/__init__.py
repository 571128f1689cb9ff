"""Every recipe, run with faults that a seed schedules: afterwards the index is right, or as it was."""
