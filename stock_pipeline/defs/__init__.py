"""Dagster definitions, one folder a stage; loaded as a folder."""
