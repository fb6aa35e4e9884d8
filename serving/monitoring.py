"""What Prometheus reads: TensorFlow Serving's own metrics, by its own names."""

import contextlib
import time
from collections.abc import Iterator

import prometheus_client
from prometheus_client import Counter, Histogram

from .errors import from_exception

DEFAULT_PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_MICROSECONDS = [10 * 1.8**i for i in range(33)]  # TensorFlow Serving's buckets, up to twenty minutes

prometheus_client.disable_created_metrics()
_REGISTRY = prometheus_client.CollectorRegistry()
prometheus_client.ProcessCollector(registry=_REGISTRY)
_COUNT = Counter(
    ":tensorflow:serving:request_count",
    "The total number of requests.",
    ["model_name", "status"],
    registry=_REGISTRY,
)
_LATENCY = Histogram(
    ":tensorflow:serving:request_latency",
    "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
    ["model_name", "API", "entrypoint"],
    buckets=_MICROSECONDS,
    registry=_REGISTRY,
)
BATCH_SIZE = Histogram(
    "s2f_serving_batch_size", "Rows in a batch.", buckets=[2**i for i in range(11)], registry=_REGISTRY
)


@contextlib.contextmanager
def recorded(model_name: str, api: str, entrypoint: str) -> Iterator[None]:
    """Counts the request inside, and times it where it succeeds."""
    start = time.perf_counter()
    try:
        yield
    except Exception as error:
        _COUNT.labels(model_name, from_exception(error).code.name).inc()
        raise
    _COUNT.labels(model_name, "OK").inc()
    _LATENCY.labels(model_name, api, entrypoint).observe(1e6 * (time.perf_counter() - start))


def exposition() -> bytes:
    """Every metric in Prometheus' text format."""
    # The library ends the name of every counter in _total; TensorFlow Serving does not.
    return prometheus_client.generate_latest(_REGISTRY).replace(b"request_count_total", b"request_count")
