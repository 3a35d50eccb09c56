"""What Prometheus reads at ``/metrics``: how many requests, how long, how full, how wrong.

Label values come from known sets only (the models that are served, the tasks, our own codes), so that no request can
make a new time series.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from nlpladder.serving.jobs import BatchReport, ModelState
from nlpladder.serving.watching import Monitor

#: Of the answer to a scrape.
METRICS_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """All series of one server, in a registry of its own.

    Attributes:
        requests: By model, task and status of HTTP; task is also ``health``, ``models``, … for what asks no model.
        request_seconds: From the first byte that was read to the last that was written.
        queue_seconds: That each item waited for its batch.
        queue_items: Items that wait at the moment.
        batch_items: Items of a batch.
        batch_seconds: Of a batch in its worker process.
        tokens: Read and written.
        first_token_seconds: From the request to the first piece of a streamed text.
        errors: By code, of requests and of single items.
        worker_restarts: Worker processes that died and were started again.
        model_ready: 1 while a model answers.
        drift_psi: Population stability index of a feature in the last window.
        drift_alarm: 1 while the alarm is raised.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # a time of creation for each series would double the answer
        self.registry = CollectorRegistry()
        both = ("model", "task")
        self.requests = Counter(
            "nlpladder_requests", "Requests that were answered", (*both, "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "nlpladder_request_seconds", "Seconds of a request", both, buckets=_SECONDS, registry=self.registry
        )
        self.queue_seconds = Histogram(
            "nlpladder_queue_seconds", "Seconds that an item waited", both, buckets=_SECONDS, registry=self.registry
        )
        self.queue_items = Gauge("nlpladder_queue_items", "Items that wait", ("model",), registry=self.registry)
        self.batch_items = Histogram(
            "nlpladder_batch_items", "Items of a batch", both, buckets=_ITEMS, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "nlpladder_batch_seconds", "Seconds of a batch", both, buckets=_SECONDS, registry=self.registry
        )
        self.tokens = Counter("nlpladder_tokens", "Tokens read and written", both, registry=self.registry)
        self.first_token_seconds = Histogram(
            "nlpladder_first_token_seconds", "Seconds until a streamed text begins", ("model",), buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.errors = Counter(
            "nlpladder_errors", "Refusals and failures by code", (*both, "code"), registry=self.registry
        )
        self.worker_restarts = Counter(
            "nlpladder_worker_restarts", "Worker processes started again", ("model",), registry=self.registry
        )
        self.model_ready = Gauge("nlpladder_model_ready", "1 while a model answers", ("model",), registry=self.registry)
        self.drift_psi = Gauge(
            "nlpladder_drift_psi", "Population stability index", ("model", "feature"), registry=self.registry
        )
        self.drift_alarm = Gauge("nlpladder_drift_alarm", "1 while alarmed", ("model",), registry=self.registry)
        ProcessCollector(registry=self.registry)

    def on_batch(self, report: BatchReport) -> None:
        """Count a batch; see `nlpladder.serving.pool.ModelPool`."""
        labels = (report.model, report.task)
        self.batch_items.labels(*labels).observe(report.items)
        self.batch_seconds.labels(*labels).observe(report.seconds)
        self.tokens.labels(*labels).inc(report.tokens)
        waited = self.queue_seconds.labels(*labels)
        for seconds in report.waited:
            waited.observe(seconds)

    def on_restart(self, model: str) -> None:
        """Count a worker process that was started again."""
        self.worker_restarts.labels(model).inc()

    def scrape(
        self,
        states: Mapping[str, ModelState],
        waiting: Mapping[str, int],
        monitors: Mapping[str, Monitor],
    ) -> bytes:
        """Return everything in Prometheus' text format, with what only holds at this moment brought up to date.

        Args:
            states: Of each model.
            waiting: Items that wait for each model.
            monitors: Of the models that are watched for drift.
        """
        for model, state in states.items():
            self.model_ready.labels(model).set(state == "ready")
            self.worker_restarts.labels(model)  # the series begins at 0, so that its first step can be seen
        for model, items in waiting.items():
            self.queue_items.labels(model).set(items)
        for model, monitor in monitors.items():
            self.drift_alarm.labels(model).set(monitor.alarm)
            for feature, value in monitor.psi().items():
                self.drift_psi.labels(model, feature).set(value)
        return generate_latest(self.registry)
