"""Which stages are stale and why, read from dvc.yaml, dvc.lock and the files themselves."""
