import numpy as np

from pipelines.models.serve_metrics import Family, Sample, ServeMetrics

EXPECTED = r"""mnist_pipeline_requests_total{path="/classify",status="200"} 2
mnist_pipeline_requests_total{path="/classify",status="503"} 1
mnist_pipeline_request_duration_seconds_bucket{path="/classify",le="0.001"} 1
mnist_pipeline_request_duration_seconds_bucket{path="/classify",le="0.0025"} 1
mnist_pipeline_request_duration_seconds_bucket{path="/classify",le="0.005"} 2
mnist_pipeline_request_duration_seconds_bucket{path="/classify",le="60"} 2
mnist_pipeline_request_duration_seconds_bucket{path="/classify",le="+Inf"} 3
mnist_pipeline_request_duration_seconds_count{path="/classify"} 3
mnist_pipeline_answers_total{version="7",class="a \"b\"\n"} 2
mnist_pipeline_answers_total{version="7",class="c\\"} 1
mnist_pipeline_unsure_answers_total{version="7"} 1
mnist_pipeline_refused_pictures_total{version="7"} 1
mnist_pipeline_answer_confidence_bucket{version="7",le="0.5"} 0
mnist_pipeline_answer_confidence_bucket{version="7",le="0.6"} 1
mnist_pipeline_answer_confidence_bucket{version="7",le="1"} 3
mnist_pipeline_answer_confidence_count{version="7"} 3
mnist_pipeline_model_info{version="7"} 1
"""


def test_answers_and_requests_are_counted_in_prometheus_format() -> None:
    metrics = ServeMetrics()
    answers = np.array([[0.9, 0.1], [0.45, 0.55], [1.0, 0.0]], np.float32)
    metrics.count_answers("7", ['a "b"\n', "c\\"], answers, 0.6)
    metrics.count_refusal("7")
    metrics.count_request("/classify", 200, 0.003)
    metrics.count_request("/classify", 200, 99.0)
    metrics.count_request("/classify", 503, 0.0001)
    lines = metrics.text([Family("model_info", "gauge", "It.", [Sample({"version": "7"}, 1)])]).splitlines()
    assert lines[:2] == [
        "# HELP mnist_pipeline_requests_total Requests.",
        "# TYPE mnist_pipeline_requests_total counter",
    ]
    assert not set(EXPECTED.splitlines()) - set(lines)


def test_a_large_count_keeps_its_digits() -> None:
    text = ServeMetrics().text([Family("n", "counter", "N.", [Sample({}, 123_456_789)])])
    assert text.endswith("mnist_pipeline_n 123456789\n")
