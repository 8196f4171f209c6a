"""Vendors' HTTP and WebSocket feeds."""
