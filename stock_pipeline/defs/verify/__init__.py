"""The nightly reconciliation."""
