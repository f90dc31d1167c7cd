"""What monitoring reads: it can be read, it is true, and it stays small."""

import os
import socket
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from linewright.serve import process_metrics as process
from linewright.serve.metrics import BUCKETS_S, MOST_VERSIONS, Metrics, Sample

PREDICT = "/v1/lines/claims/predict"
ROW = {"Age": 41, "PolicyNumber": 7}


def families(text):
    """Read the text as Prometheus does; each family has a name of its own."""
    found = list(text_string_to_metric_families(text))
    assert len({family.name for family in found}) == len(found)
    return {family.name: family for family in found}


def series(text):
    """Return the value of each series, by its name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families(text).values()
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory, claims_at, endpoint_at):
    """One endpoint for the tests that leave no trace but counts."""
    state = tmp_path_factory.mktemp("factory") / ".linewright"
    claims = claims_at(state)
    endpoint = endpoint_at(state, body_deadline_s=0.5)
    endpoint.claims = claims
    yield endpoint
    endpoint.close()


def test_prometheus_reads_what_is_counted(served):
    """By line and version: requests, errors, rows and times; and what the log is behind by."""
    before = series(served.ask("GET", "/metrics")[2])
    served.predict(ROW, ROW)
    served.ask("POST", PREDICT, {"rows": [{}]})
    text = served.ask("GET", "/metrics")[2]
    after, known = series(text), families(text)
    model = (("line", "claims"), ("version", "1"))

    def grown(name, *labels):
        return after[name, *labels] - before.get((name, *labels), 0)

    assert 1 == grown("linewright_requests_total", ("line", "claims"), ("status", "200"), ("version", "1"))
    assert 1 == grown("linewright_requests_total", ("line", "claims"), ("status", "422"), ("version", "1"))
    assert 1 == grown("linewright_errors_total", ("error", "RequestError"), *model)
    assert 2 == grown("linewright_rows_total", *model)
    assert 2 == grown("linewright_request_seconds_count", *model)
    assert 0 < grown("linewright_request_seconds_sum", *model) < 10
    assert len(BUCKETS_S) + 1 == sum(
        key[0] == "linewright_request_seconds_bucket" and ("line", "claims") in key for key in after
    )
    assert "histogram" == known["linewright_request_seconds"].type
    assert (
        1
        == after[
            "linewright_model_info",
            ("arm", "champion"),
            ("digest", served.claims.models[1]),
            *model,
        ]
    )
    assert 0 < after["linewright_log_bytes", ("line", "claims")]
    assert {"gauge"} == {known[f"linewright_log_un{what}_bytes"].type for what in ("synced", "indexed")}
    assert all(family.documentation for family in known.values())


@pytest.mark.slow
def test_what_is_logged_is_soon_on_the_disk_and_soon_indexed(served):
    """The two lags are gauges that go back to nothing."""
    served.predict(ROW)

    served.wait_for(
        lambda: (
            {0.0}
            == {
                series(served.ask("GET", "/metrics")[2])[f"linewright_log_un{what}_bytes", ("line", "claims")]
                for what in ("synced", "indexed")
            }
        ),
        within_s=25,
    )


def test_the_process_is_told_of_under_the_names_that_others_use(served):
    """Dashboards for processes work as they are."""
    now = time.clock_gettime(time.CLOCK_REALTIME)
    told = series(served.ask("GET", "/metrics")[2])
    pages = int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1])

    assert (
        pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.2) == told["process_resident_memory_bytes",]
    )
    assert 0 < told["process_cpu_seconds_total",] < 60
    assert now - 300 < told["process_start_time_seconds",] < now + 2
    assert 3 < told["process_open_fds",] < told["process_max_fds",]
    assert any(key[0] == "linewright_build_info" for key in told)


def test_a_system_without_proc_is_told_less_of(tmp_path):
    """And the endpoint answers all the same."""
    assert ["linewright_build_info"] == [sample.name for sample in process.to_samples(tmp_path)]


def test_what_is_unknown_makes_no_series(served):
    """A scanner would fill the memory of the monitoring."""
    for number in range(3):
        served.ask("GET", f"/nowhere/{number}")
    served.ask("POST", "/v1/lines/nobody/predict", {"rows": [ROW]})
    served.ask("GET", "/v2/models/claims/versions/77")
    served.ask("BREW", PREDICT)
    before = series(served.ask("GET", "/metrics")[2]).keys()  # which is counted once it is answered
    while not any(
        "linewright_log_damaged" in key for key in before
    ):  # the log is looked through beside the answers
        time.sleep(0.05)
        before = series(served.ask("GET", "/metrics")[2]).keys()
    before = series(served.ask("GET", "/metrics")[2]).keys()
    for number in range(200):
        served.ask("GET", f"/nowhere/{number}?a={number}")
        served.ask("POST", f"/v1/lines/line-{number}/predict", {"rows": [ROW]})
        served.ask("GET", f"/v2/models/claims/versions/{number + 2}")
        served.ask(f"BREW{number}", PREDICT)
    after = series(served.ask("GET", "/metrics")[2]).keys()

    assert set() == after - before


def test_a_client_that_hangs_up_is_counted(served):
    """Else requests would be lost between two numbers."""
    served.hang_up()
    before = series(served.ask("GET", "/metrics")[2])
    served.hang_up()
    with socket.create_connection(served.address) as connection:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(head.encode() + b"Content-Length: 100\r\n\r\n{")
    key = ("linewright_requests_total", ("line", "claims"), ("status", "499"), ("version", "1"))

    served.wait_for(lambda: before.get(key, 0) + 1 == series(served.ask("GET", "/metrics")[2]).get(key))


def test_a_canary_is_told_of_beside_its_champion(claims, start):
    """Rates of both are compared by version, and this says which is which."""
    claims.make(2)
    claims.point(1, canary=2, share=0.5, salt="s")
    endpoint = start(claims.state)

    def arms():
        told = series(endpoint.ask("GET", "/metrics")[2])
        infos = [dict(key[1:]) for key in told if key[0] == "linewright_model_info"]
        return {info["arm"]: (info["version"], info["digest"]) for info in infos}

    expected = {"champion": ("1", claims.models[1]), "canary": ("2", claims.models[2])}
    endpoint.wait_for(lambda: expected == arms())


def test_old_versions_of_a_line_make_room():
    """Years of retrainings do not make a scrape longer and longer; a line is not robbed by another."""
    metrics = Metrics()
    metrics.count("other", "1", 200, 0.1)
    for version in range(3 * MOST_VERSIONS):
        metrics.count("claims", str(version), 200, 0.1)
    counts = [key for key in series(metrics.exposition([])) if key[0] == "linewright_request_seconds_count"]
    versions = [int(dict(labels)["version"]) for _, *labels in counts if ("line", "claims") in labels]

    assert list(range(2 * MOST_VERSIONS, 3 * MOST_VERSIONS)) == versions
    assert MOST_VERSIONS + 1 == len(counts)


def test_any_text_can_be_a_label():
    """Names come from people."""
    odd = 'a"b\\c\nd'
    metrics = Metrics()
    metrics.count(odd, "1", 200, 0.1, error=odd)
    text = metrics.exposition([Sample("x", "help", (("name", odd),), 1.5)])

    assert 1.5 == series(text)["x", ("name", odd)]
    assert 1 == series(text)["linewright_requests_total", ("line", odd), ("status", "200"), ("version", "1")]


def test_large_and_small_values_keep_their_digits():
    """A start time in nine digits would be ten seconds off."""
    text = Metrics().exposition([Sample("x", "help", (), 1764128000.12), Sample("y", "help", (), 1e-9)])

    assert (1764128000.12, 1e-9) == (series(text)["x",], series(text)["y",])
