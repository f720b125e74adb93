"""What outlives a process: snapshots of partitions, the bundles that served them, and the decisions taken."""
