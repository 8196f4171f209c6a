"""Objects of the lake: keys, conditional writes, files."""
