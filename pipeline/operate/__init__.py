"""Operating the job: what it logs, and what it says of itself."""
