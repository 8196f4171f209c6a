"""Findings about prices, splits, times and sources. Pure."""
