"""The Glue catalogue and its agreement with the lake."""
