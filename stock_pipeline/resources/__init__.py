"""Thin shells around Kafka, S3, Glue and Athena: they act, `lib` decides."""
