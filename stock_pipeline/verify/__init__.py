"""Does the lake hold what the log and Kafka say?"""
