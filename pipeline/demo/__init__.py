"""The stranger's first minute: a simulated fleet through a real Kafka and the real job, with the truth beside it."""
