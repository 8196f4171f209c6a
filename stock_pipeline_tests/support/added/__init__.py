"""A format and a gold table as somebody would add them: one module each, and SQL."""
