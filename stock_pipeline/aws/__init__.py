"""Credentials, roles and policies of AWS, and sentences for what it refuses."""
