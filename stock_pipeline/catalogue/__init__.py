"""The Glue catalogue, Athena, and queries over the lake."""
