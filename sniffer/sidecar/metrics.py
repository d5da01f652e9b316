"""The status for Prometheus, over HTTP on loopback. `prometheus-client` is an extra: a recording needs no web server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from sniffer.config import SECOND
from sniffer.errors import UsageError

ADDRESS: Final = "127.0.0.1"
_GAUGES: Final = (
    ("capture", "ring_fill", "Share of the capture ring that waits to be written, 0 to 1"),
    ("capture", "waiting", "Packets that wait in memory because the journal cannot be written"),
    ("journal", "bytes", "Size of the journal"),
    ("journal", "segments", "Segments of the journal"),
    ("journal", "behind_packets", "Packets of the journal that are not loaded yet"),
    ("journal", "behind_seconds", "Age of the oldest of these, before the latest packet"),
    ("load", "unreadable", "Open connections that cannot be read"),
)
_COUNTERS: Final = (
    ("capture", "packets", "Packets written to the journal, in all its runs"),
    ("capture", "bytes", "Bytes of these packets"),
    ("capture", "kernel_drops", "Packets that the kernel dropped in this run"),
    ("load", "messages", "Messages kept"),
    ("load", "order_events", "Order events stored"),
    ("load", "fill_events", "Fills stored, each observation"),
)


def serve_metrics(port: int, record: Callable[[], dict[str, Any]]) -> None:
    """Answer on `port` of loopback from a thread. Raises `UsageError` without the library, or where the port is taken."""
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from prometheus_client.registry import Collector
    except ImportError:
        raise UsageError("--metrics-port needs prometheus-client; `pip install 'order-sniffer[metrics]'` installs it") from None

    class Metrics(Collector):
        """The status as it is when somebody asks."""

        def describe(self) -> list[Any]:
            """Nothing, so that registering does not ask already."""
            return []

        def collect(self) -> Iterator[Any]:
            """The families; what is not known is left out."""
            status = record()
            for part, name, text in _GAUGES:
                if (value := status[part][name]) is not None:
                    yield GaugeMetricFamily(f"sniffer_{part}_{name}", text, value)
            for part, name, text in _COUNTERS:
                if (value := status[part][name]) is not None:
                    yield CounterMetricFamily(f"sniffer_{part}_{name}", text, value)
            if (published := status["load"]["published"]) is not None:
                family = "sniffer_last_publish_timestamp_seconds"
                yield GaugeMetricFamily(family, "When the database was last published", published / SECOND)
            if (lost := status["load"]["lost_today"]) is not None:
                yield GaugeMetricFamily("sniffer_losses_today", "Rows in losses of this UTC day", lost)
            starts = CounterMetricFamily("sniffer_process_starts", "Times that a process was started", labels=["process"])
            for process, facts in status["processes"].items():
                starts.add_metric([process], facts["starts"])
            yield starts

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Metrics())
    try:
        start_http_server(port, ADDRESS, registry)
    except OSError as error:
        raise UsageError(f"--metrics-port {port}: cannot be served: {error.strerror}; name another port") from None
