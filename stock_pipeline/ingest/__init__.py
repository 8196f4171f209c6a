"""From offset ranges to decided Parquet objects, exactly once."""
