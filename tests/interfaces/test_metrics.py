"""`/metrics` of the control plane, and the files that are made for its names."""

import asyncio
import json
import re
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
import small
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from linewright.capabilities.releases.halt import halt
from linewright.engine.usage import Usage
from linewright.interfaces.http.app import control_app
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.record.monitoring.factory_metrics import FactoryMetrics
from linewright.operations.table import OPERATIONS
from linewright.people.account import account_of
from linewright.people.facts import Accounted
from linewright.people.outbox import Outbox
from linewright.release.facts import Refused, RolledBack
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.metrics import Metrics
from linewright.watch.facts import Alerted, Cleared, Proposed, Watched

DOCS = Path(__file__).parents[2] / "docs"
TOKEN = "lw_test"  # noqa: S105 -- of a control plane that nobody else can reach
LINE = ("line", "claims")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Give a function that asks the control plane of a small factory for its metrics, and the factory."""
    root = tmp_path_factory.mktemp("metrics") / "factory"
    with Factory.open(small.make_factory(tmp_path_factory, root)) as factory:
        app = control_app(lambda _: nullcontext(factory), OPERATIONS, authenticator=Authenticator(TOKEN))
        transport = httpx.ASGITransport(app)

        async def get(token):
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})

        yield factory, lambda token=TOKEN: asyncio.run(get(token))


def series(text):
    """Return the value of each series as Prometheus reads it, by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def live(factory):
    """Have something of each kind happen to the line."""

    def who(because=""):
        return {"at": factory.now(), "by": "test", "because": because, "line": "claims"}

    about = {
        "package": "p",
        "column": None,
        "value": 1.0,
        "bar": 0.2,
        "evidence": "e",
        "since": factory.now(),
    }
    record = factory.metadata.record
    record(Alerted(**who(), id="a", monitor="drift", **about))
    record(Alerted(**who(), id="b", monitor="performance", **about))
    record(Cleared(**who(), alert="b", evidence="e"))
    record(Proposed(**who(), proposal="p"))
    record(Watched(**who(), window="w", package="p", start=factory.now(), end=factory.now(), n=0))
    record(Finished(**who(), run="r", outcome="failed", usage=Usage(cpu_s=1.5)))
    record(Refused(**who(), model=2, package="p", verdict="reject", certificate="c", run="r"))
    record(RolledBack(**who(), model=1, package="p", before=2, generation=9))
    record(Accounted(**who(), account="a", totals=(account_of("claims", "EUR", "never", []),)))
    Outbox(factory.state).begin("ops", 0)
    Outbox(factory.state).fail("ops", "it is down", at=factory.now(), next_at=factory.now())


def test_what_the_record_says_can_be_read_as_numbers(asked):
    """A team that has Prometheus wants to see all lines on one page, without asking each."""
    factory, ask = asked
    before = series(ask().text)
    live(factory)
    halt(factory, "claims", because="a test")
    after = series(ask().text)
    again = series(ask().text)

    def grown(name, *labels):
        return after[name, *sorted(labels)] - before.get((name, *sorted(labels)), 0)

    assert 1 == after["linewright_alerts_open", LINE, ("monitor", "drift")]
    assert 0 == after["linewright_alerts_open", LINE, ("monitor", "performance")]
    assert 1 == grown("linewright_runs_total", LINE, ("outcome", "failed"))
    assert 1 == before["linewright_runs_total", LINE, ("outcome", "done")]
    assert 1.5 == pytest.approx(grown("linewright_run_cpu_seconds_total", LINE))
    assert 1 == grown("linewright_windows_total", LINE)
    assert 2 == grown("linewright_alerts_total", LINE)
    assert 1 == grown("linewright_proposals_total", LINE)
    assert 1 == before["linewright_promotions_total", LINE]
    assert 1 == after["linewright_champion_version", LINE]
    assert (0, 1) == (before["linewright_halted", LINE], after["linewright_halted", LINE])
    assert factory.labels_of("claims").counts() == (
        after["linewright_predictions", LINE],
        after["linewright_labels", LINE],
    )
    assert after["linewright_labels", LINE] > 0
    assert 1 == after["linewright_notify_failures", ("destination", "ops")]
    assert after == again  # asking changes nothing


def test_metrics_want_the_token(asked):
    """Names of lines and how well they do are nobody else's business."""
    _, ask = asked

    assert 401 == ask("lw_wrong").status_code


def test_another_record_is_counted_anew(asked, tmp_path):
    """A factory that is restored under a running scrape must not add its past to what was counted."""
    factory, _ = asked
    metrics = FactoryMetrics()
    metrics.samples(factory)
    with Factory.create(tmp_path / "other") as other:
        names = {sample.name for sample in metrics.samples(other)}

    assert "linewright_runs_total" not in names


def expressions():
    """Return each expression of the dashboard and of the rules."""
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    rules = YAML(typ="safe").load((DOCS / "prometheus-rules.yaml").read_text())
    queries = [one["query"] for one in dashboard["templating"]["list"]]
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*queries, *panels, *(rule["expr"] for group in rules["groups"] for rule in group["rules"])]


def test_the_dashboard_and_the_rules_ask_for_what_there_is(asked):
    """A rule about a name that nobody exports never fires, and nobody notices."""
    factory, ask = asked
    live(factory)
    endpoint = Metrics()
    endpoint.count("claims", "1", 200, 0.01)
    endpoint.count_rows("claims", "1", 3)
    known: dict[str, set[str]] = {}
    for name, *labels in [*series(ask().text), *series(endpoint.exposition([]))]:
        known.setdefault(name, set()).update(label for label, _ in labels)
    asked_for = [
        (name, set(re.findall(r"(\w+)\s*=~?", inner or "")))
        for one in expressions()
        for name, inner in re.findall(r"\b(linewright_\w+)(?:\{([^}]*)\})?", one)
    ]
    grouped = {
        label
        for one in expressions()
        for inner in re.findall(r"by \(([^)]*)\)", one)
        for label in inner.split(", ")
    }

    assert len(asked_for) > 20
    assert [] == [name for name, _ in asked_for if name not in known]
    assert [] == [(name, labels) for name, labels in asked_for if not labels <= known[name]]
    assert grouped <= set().union(*known.values())
    assert all(one.count("(") == one.count(")") for one in expressions())
