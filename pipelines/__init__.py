"""Batch jobs that turn what people have on disk into clips. They run from a checkout; the wheel does not hold them."""
