"""Batch jobs that turn what people have on disk into clips."""
