"""What a worker process does with its cases: load, generate, save, record. Fetches nothing."""
