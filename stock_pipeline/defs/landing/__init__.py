"""History in batches: what vendors gave, kept as CSV."""
