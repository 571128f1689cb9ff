"""What a person looks at: sources, items, logs, identities, calls, faults and the clock, as pages of HTML."""
