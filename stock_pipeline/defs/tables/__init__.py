"""Silver and gold as assets, checks and refreshes."""
