"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from nlpladder.serving.jobs import BatchReport
from nlpladder.serving.metrics import ServerMetrics
from nlpladder.serving.watching import DriftWatch
from serving.clients import asking, run
from serving.fakes import FakePool

#: Name -> labels, as dashboards use them.
SERIES = {
    "nlpladder_requests_total": {"model", "task", "status"},
    "nlpladder_request_seconds_bucket": {"model", "task", "le"},
    "nlpladder_queue_seconds_bucket": {"model", "task", "le"},
    "nlpladder_queue_items": {"model"},
    "nlpladder_batch_items_bucket": {"model", "task", "le"},
    "nlpladder_batch_seconds_bucket": {"model", "task", "le"},
    "nlpladder_tokens_total": {"model", "task"},
    "nlpladder_first_token_seconds_bucket": {"model", "le"},
    "nlpladder_errors_total": {"model", "task", "code"},
    "nlpladder_worker_restarts_total": {"model"},
    "nlpladder_model_ready": {"model"},
    "nlpladder_drift_psi": {"model", "feature"},
    "nlpladder_drift_alarm": {"model"},
}


class Monitor:
    """Counts what it sees."""

    alarm = True

    def __init__(self):
        self.seen = []

    def observe(self, texts, answers=None, *, task=None):
        if "raise" in texts:
            raise ValueError("a monitor that fails")
        self.seen.append((task, list(texts), [answer.value for answer in answers]))

    def report(self):
        return {"texts": sum(len(texts) for _, texts, _ in self.seen)}

    def psi(self):
        return {"words": 0.25}


def samples(text):
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def test_every_series_of_the_dashboard_is_there_with_its_labels():
    pool, failures = FakePool(), []
    watch = DriftWatch(lambda *_: None, lambda *failure: failures.append(failure))
    watch.monitors["senti"] = Monitor()

    async def check():
        async with asking(pool, watch=watch) as server:
            server.metrics.on_batch(BatchReport("senti", "classify", 3, 17, 0.2, (0.001, 0.002, 0.02)))
            server.metrics.on_restart("writer")
            await server.post("/classify", {"texts": ["a", 5]})
            await server.post("/generate", {"prompt": "a", "stream": True})
            pool.state["writer"] = "failed"
            response = await server.get("/metrics")
            assert response.headers["content-type"].startswith("text/plain; version=")
            return response.text

    found = samples(run(check()))
    watch.close()
    for name, labels in SERIES.items():
        matching = [sample for sample in found if sample.name == name]
        assert matching, name
        assert all(set(sample.labels) == labels for sample in matching), name
    values = {(sample.name, *sorted(sample.labels.values())): sample.value for sample in found}
    assert values["nlpladder_tokens_total", "classify", "senti"] == 17
    assert values["nlpladder_batch_items_sum", "classify", "senti"] == 3
    assert values["nlpladder_queue_seconds_count", "classify", "senti"] == 3
    assert values["nlpladder_worker_restarts_total", "writer"] == 1
    assert values["nlpladder_worker_restarts_total", "senti"] == 0
    assert values["nlpladder_model_ready", "writer"] == 0
    assert values["nlpladder_model_ready", "senti"] == 1
    assert values["nlpladder_drift_psi", "senti", "words"] == 0.25
    assert values["nlpladder_drift_alarm", "senti"] == 1
    assert not any(sample.name.endswith("_created") for sample in found)


def test_requests_from_outside_make_no_series():
    async def check():
        async with asking() as server:
            await server.get("/metrics")
            before = len(samples((await server.get("/metrics")).text))
            for number in range(20):
                await server.post("/classify", {"texts": ["a"], "model": f"nobody-{number}"})
                await server.get(f"/path-{number}")
            return before, samples((await server.get("/metrics")).text)

    before, after = run(check())
    assert len(after) <= before + 4  # a 404 of classify, one of no task, and their codes
    assert not any("nobody" in value or "path-" in value for sample in after for value in sample.labels.values())


def test_two_servers_count_apart():
    one, two = ServerMetrics(), ServerMetrics()
    one.on_restart("m")
    assert one.registry.get_sample_value("nlpladder_worker_restarts_total", {"model": "m"}) == 1
    assert two.registry.get_sample_value("nlpladder_worker_restarts_total", {"model": "m"}) is None


def test_traffic_is_watched_behind_the_answer_and_a_monitor_that_fails_harms_nobody():
    failures = []
    watch = DriftWatch(lambda *_: None, lambda model, error: failures.append((model, type(error))))
    monitor = watch.monitors["senti"] = Monitor()

    async def check():
        async with asking(watch=watch) as server:
            assert (await server.post("/classify", {"texts": ["a", "b"]})).status_code == 200
            assert (await server.post("/classify", {"texts": ["raise"]})).status_code == 200
            assert (await server.post("/classify", {"texts": 5})).status_code == 422
            assert (await server.post("/tag", {"texts": ["not watched"]})).status_code == 200
            watch.settle()
            return (await server.get("/drift")).json()["models"]

    reports = run(check())
    watch.close()
    assert [(task, texts) for task, texts, _ in monitor.seen] == [("classify", ["a", "b"])]
    assert set(monitor.seen[0][2][0]) == {"label", "probabilities"}
    assert failures == [("senti", ValueError)]
    assert reports["senti"] == {"texts": 2, "requests_left_out": 0}
    assert reports["names"] is None
