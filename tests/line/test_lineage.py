"""Lineage: catalogues of others learn by OpenLineage what each run read and made, and no secret and no value."""

import json
import uuid
from datetime import datetime

import pytest
from msgspec.structs import replace
from receivers import webhook
from small import LINE, make_factory

from linewright.capabilities.notifications.deliveries import deliveries
from linewright.capabilities.notifications.destinations import LINEAGE
from linewright.capabilities.notifications.send_now import send_now, try_out
from linewright.errors import SpecError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared
from linewright.line.file.factory_file import parse_factory_file
from linewright.line.file.read import parse_line
from linewright.line.runs.execute import execute_inline
from linewright.people.outbox import Outbox

pytestmark = pytest.mark.usefixtures("processes")
SPEC = "https://openlineage.io/spec/"


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    """Give a factory whose line has had one run, of which nobody was told yet."""
    with Factory.open(make_factory(tmp_path_factory, tmp_path / "works")) as opened:
        yield opened


def declare(factory, to, *more):
    """Have events sent from the first of the record on."""
    (factory.root / "factory.yaml").write_text(
        "\n".join(["format: 1", *more, f"lineage: {{openlineage: {to}}}"]) + "\n"
    )
    Outbox(factory.state).begin(LINEAGE, 0)


def events_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_is_valid(event):
    """Check what the schema 2-0-2 requires of an event, a dataset and a facet."""
    assert event["eventType"] in {"START", "COMPLETE", "FAIL", "ABORT", "OTHER"}
    assert datetime.fromisoformat(event["eventTime"]).tzinfo
    assert f"{SPEC}2-0-2/OpenLineage.json#/$defs/RunEvent" == event["schemaURL"]
    assert "://" in event["producer"]
    uuid.UUID(event["run"]["runId"])
    for one in (event["job"], *event.get("inputs", ()), *event.get("outputs", ())):
        assert one["namespace"]
        assert one["name"]
    for name, facet in facets_of(event):
        assert facet["_producer"] == event["producer"]
        kind = facet["_schemaURL"].rpartition("/")[2]
        assert facet["_schemaURL"].startswith(f"{SPEC}facets/"), name
        assert name.replace("_", "").lower() in kind.lower()


def facets_of(event):
    for one in (event["run"], event["job"], *event.get("inputs", ()), *event.get("outputs", ())):
        for where in ("facets", "inputFacets", "outputFacets"):
            yield from one.get(where, {}).items()


def test_a_run_tells_what_it_read_and_what_came_of_it(factory):
    """From the column of a file over the dataset version to the model, each under the name that other programs give it."""
    declare(factory, "file:lineage.jsonl")
    (told,) = send_now(factory, LINEAGE, refused=False)
    start, done = events_of(factory.root / "lineage.jsonl")
    source, dataset, model = done["inputs"][0], *done["outputs"]

    assert (2, "") == (told.delivered, told.trouble)
    for event in (start, done):
        assert_is_valid(event)
    assert ("START", "COMPLETE", True) == (
        start["eventType"],
        done["eventType"],
        start["run"]["runId"] == done["run"]["runId"],
    )
    assert (LINE, "linewright://works") == (done["job"]["name"], done["job"]["namespace"])
    assert ("file", str(factory.root / "claims.csv")) == (source["namespace"], source["name"])
    assert ["claim", "amount", "age", "fraud"] == [
        one["name"] for one in dataset["facets"]["schema"]["fields"]
    ]
    assert 240 == dataset["outputFacets"]["outputStatistics"]["rowCount"]
    of_amount = dataset["facets"]["columnLineage"]["fields"]["amount"]["inputFields"]
    assert [(source["name"], "amount")] == [(one["name"], one["field"]) for one in of_amount]
    of_answer = model["facets"]["columnLineage"]["fields"]["fraud"]["inputFields"]
    assert {(dataset["name"], "amount"), (dataset["name"], "age")} == {
        (one["name"], one["field"]) for one in of_answer
    }
    assert "1" == model["facets"]["version"]["datasetVersion"]


def test_events_reach_a_server_that_was_away_and_carry_its_token(factory, monkeypatch):
    """Each is sent again until it is taken."""
    monkeypatch.setenv("LINEAGE_TOKEN", "a-token-of-this-test")
    with webhook() as server:
        taking, server.answer = server.answer, lambda _: (503, {}, b"")
        declare(factory, f"{server.url}/api/v1/lineage, token: env:LINEAGE_TOKEN", "hosts: [127.0.0.1]")
        (first,) = send_now(factory, LINEAGE, refused=False)
        server.answer = taking
        (told,) = send_now(factory, LINEAGE, refused=False)
        (well,) = (one for one in deliveries(factory) if one.destination == LINEAGE)
        (tried,) = try_out(factory, LINEAGE)
        *events, probe = server.events

        assert (0, 2, 1) == (first.delivered, told.delivered, tried.delivered)
        assert "503" in first.trouble
        assert ["START", "COMPLETE"] == [one["eventType"] for one in events]
        assert {"Bearer a-token-of-this-test"} == {headers["authorization"] for headers, _ in server.got}
        assert ("openlineage", 0, True) == (well.by, well.waiting, well.is_well)
        assert_is_valid(probe)


def test_a_run_that_fails_is_told_with_its_reason(factory):
    (factory.root / "claims.csv").write_text("claim,amount\nC1,2\n")
    declare(factory, "file:lineage.jsonl")
    with pytest.raises(SpecError):
        execute_inline(factory, LINE)
    send_now(factory, LINEAGE, refused=False)
    failed = events_of(factory.root / "lineage.jsonl")[-1]

    assert_is_valid(failed)
    assert "FAIL" == failed["eventType"]
    assert "fraud" in dict(facets_of(failed))["errorMessage"]["message"]


def test_tables_of_a_query_have_the_names_of_their_database_and_no_password(factory, monkeypatch):
    """A catalogue joins them with what it knows of the database."""
    monkeypatch.setenv("CLAIMS_DB", "postgresql://reader:top-secret@db.example.com/shop")
    file = factory.root / "lines" / "claims.yaml"
    query = "select c.*, p.price from sales.claims c join prices p using (claim)"
    file.write_text(file.read_text().replace("{file: claims.csv}", f"{{sql: '{query}', at: env:CLAIMS_DB}}"))
    accepted = factory.metadata.events(Accepted, line=LINE)[0]
    declared = factory.metadata.get(accepted.declared, Declared)
    other = factory.metadata.keep(replace(declared, spec=factory.line(LINE).model_dump(mode="json")))
    factory.metadata.record(replace(accepted, declared=other))
    declare(factory, "file:lineage.jsonl")
    send_now(factory, LINEAGE, refused=False)
    text = (factory.root / "lineage.jsonl").read_text()
    event = json.loads(text.splitlines()[-1])

    assert [
        ("postgres://db.example.com:5432", "shop.public.prices"),
        ("postgres://db.example.com:5432", "shop.sales.claims"),
    ] == [(one["namespace"], one["name"]) for one in event["inputs"]]
    assert "top-secret" not in text
    assert "reader" not in text


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{file: 's3://lake/claims/part-*.csv', at: env:LAKE}", ("s3://lake", "claims/part-*.csv")),
        ("{rest: 'https://crm.example.com/claims?key=top-secret'}", ("https://crm.example.com", "claims")),
        ("{push: claims, key: claim}", ("linewright://works", "sent.claims")),
        ("{sql: 'select * from claims', at: env:NOT_SET}", ("linewright://works", "claims.claims")),
    ],
)
def test_each_kind_of_source_has_the_name_that_other_programs_give_it(factory, source, named):
    accepted = factory.metadata.events(Accepted, line=LINE)[0]
    text = (factory.root / "lines" / "claims.yaml").read_text().replace("{file: claims.csv}", source)
    spec = parse_line(text, name="claims.yaml").model_dump(mode="json")
    other = factory.metadata.keep(Declared(spec=spec))
    factory.metadata.record(replace(accepted, declared=other))
    declare(factory, "file:lineage.jsonl")
    send_now(factory, LINEAGE, refused=False)
    text = (factory.root / "lineage.jsonl").read_text()

    assert [named] == [(one["namespace"], one["name"]) for one in json.loads(text.splitlines()[-1])["inputs"]]
    assert "top-secret" not in text


@pytest.mark.parametrize(
    ("to", "hosts", "says"),
    [
        ("https://catalogue.example.com/api/v1/lineage", "", "not among those that may be connected to"),
        (
            "http://catalogue.example.com/x",
            "hosts: [catalogue.example.com]\n",
            "https, or of http to this machine",
        ),
        ("file:a.jsonl, token: env:X", "", "'token' goes with a URL"),
        ("catalogue", "", "openlineage"),
    ],
)
def test_lineage_is_sent_only_where_the_factory_file_permits_it(to, hosts, says):
    """Names of columns and tables tell much of a firm."""
    with pytest.raises(SpecError, match=says):
        parse_factory_file(
            f"format: 1\n{hosts}lineage: {{openlineage: '{to.partition(', ')[0]}'{', token: env:X' if 'token' in to else ''}}}\n",
            name="factory.yaml",
        )
