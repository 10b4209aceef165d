"""A real PostgreSQL with a real workload, started from the wheel: for looking around, for tests, for pictures."""
