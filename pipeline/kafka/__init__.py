"""Kafka: the only room that speaks to a broker; everything above it sees records, events and our own errors."""
