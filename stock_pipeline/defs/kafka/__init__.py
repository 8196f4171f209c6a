"""The topics, as external assets."""
