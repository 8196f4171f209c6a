"""Shim for tools that still look for setup.py; pyproject.toml is the one place of metadata."""

from setuptools import setup

setup()
