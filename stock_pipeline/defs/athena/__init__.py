"""Gold SQL run again through Athena, and its parity with DuckDB."""
