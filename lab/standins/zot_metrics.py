"""zot's metrics in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, disable_created_metrics
from prometheus_client.exposition import generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"


class Metrics:
    """The counters that zot keeps of its requests and repositories."""

    def __init__(self, version: Mapping[str, str]) -> None:
        self._registry = CollectorRegistry()
        made = {"namespace": "zot", "registry": self._registry}
        self._requests = Counter("http_requests", "Requests answered", ["method", "code"], **made)  # type: ignore[arg-type]
        self._by_path = Summary("http_repo_latency_seconds", "Latency by path", ["repo"], **made)  # type: ignore[arg-type]
        self._by_method = Histogram("http_method_latency_seconds", "Latency by method", ["method"], **made)  # type: ignore[arg-type]
        self._storage = Gauge("repo_storage_bytes", "Storage used by a repository", ["repo"], **made)  # type: ignore[arg-type]
        self._transfers = {
            kind: Counter(f"repo_{kind}", f"Manifest {kind} of a repository", ["repo"], **made)  # type: ignore[arg-type]
            for kind in ("uploads", "downloads")
        }
        Gauge("info", "What this registry is", list(version), **made).labels(**version).set(0)  # type: ignore[arg-type]

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        self._requests.labels(method, status).inc()
        self._by_path.labels(path).observe(seconds)
        self._by_method.labels(method).observe(seconds)

    def count(self, kind: str, repository: str) -> None:
        """One more manifest of the repository among its ``uploads`` or ``downloads``."""
        self._transfers[kind].labels(repository).inc()

    def text(self, storage: Mapping[str, int]) -> bytes:
        """All metrics; ``storage`` has the bytes that each repository uses."""
        for repository, size in storage.items():
            self._storage.labels(repository).set(size)
        return generate_latest(self._registry)
