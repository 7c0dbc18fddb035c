"""The loop from a source to results, and where results go."""
