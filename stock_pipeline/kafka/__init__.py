"""Kafka clients: offsets and topics, reading, publishing."""
