"""Price history from vendors: fetched once, kept as CSV under landing/."""
