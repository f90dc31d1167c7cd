"""Files of a bucket and rows of a service go the whole way of a line, and what they are read with goes nowhere."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from web_server import KEYS, Asked, WebServer, allow_here, bucket_server

from linewright.capabilities.drafts.remote_data import Access
from linewright.capabilities.drafts.write import new_line
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.data.ingest import ingest
from linewright.data.profile.roles import GivenRoles
from linewright.errors import RequestError, Transient
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan

TOKEN = "Pa55w0rd-token"  # noqa: S105 -- of a server that lives for a test
SECRETS = (*(word.encode() for word in KEYS.values()), TOKEN.encode())
LINE = """
line: orders
sources:
  customers: {file: "s3://plant/customers/*.csv", at: env:PLANT}
  orders: {rest: "%s/orders", items: data, next: next, at: env:TOKEN, key: customer}
table: {key: id, sql: "select c.id, plan, amount, c.churned from customers c join orders o on c.id = o.customer order by c.id"}
label: {column: churned, positive: "yes"}
train: {budget: quick, folds: 2}
"""


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Fill a bucket with 240 customers in three files."""
    pytest.importorskip("obstore")
    folder = tmp_path / "buckets" / "plant" / "customers"
    folder.mkdir(parents=True)
    for part in range(3):
        rows = [
            f"K{number:03},{['basic', 'plus'][number % 2]},{['no', 'yes'][number % 4 == 1]}"
            for number in range(80 * part, 80 * part + 80)
        ]
        (folder / f"part-{part}.csv").write_text("\n".join(["id,plan,churned", *rows]) + "\n")
    with bucket_server(tmp_path / "buckets") as url:
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS}))
        yield folder


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """Serve an order of each customer, 100 a page."""
    pytest.importorskip("httpx")
    chance = random.Random(7)
    rows = [
        {"customer": f"K{number:03}", "amount": round(chance.gauss(number % 4, 1), 2), "at": {"town": "Köln"}}
        for number in range(240)
    ]

    def answer(asked: Asked) -> None:
        start = int(asked.parameters.get("start", 0))
        more = f"/orders?start={start + 100}" if start + 100 < len(rows) else None
        asked.say({"data": rows[start : start + 100], "next": more})

    monkeypatch.setenv("TOKEN", TOKEN)
    with WebServer(answer) as server:
        yield server


def test_sources_of_two_servers_become_a_model_and_their_keys_go_nowhere(
    bucket: Path, orders: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "factory"
    with Factory.create(root) as factory:
        allow_here(root)
        (root / "lines" / "orders.yaml").write_text(LINE % orders.url)
        result = execute_inline(factory, "orders")

        assert "train" in result.did
        assert () == make_plan(factory, factory.line("orders")).changes

        (bucket / "part-1.csv").write_text((bucket / "part-1.csv").read_text().replace("plus", "gold"))

        assert "ingest" == make_plan(factory, factory.line("orders")).changes[0].step

        orders.answer = lambda asked: asked.cut({"data": [], "next": None}, most=5)
        monkeypatch.setattr("linewright.plugins.web._FIRST_PAUSE_S", 0.01)
        with pytest.raises(Transient, match="source 'orders'") as broken:
            execute_inline(factory, "orders")
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": f"http://127.0.0.1:{free_port()}", **KEYS}))
        with pytest.raises(Transient, match="source 'customers'") as gone:
            make_plan(factory, factory.line("orders"))

        datasets = factory.metadata.versions("orders")
        assert 1 == len(datasets)
    shown = f"{broken.value} {broken.value.to_json()} {gone.value} {gone.value.to_json()}".encode()
    kept = [path for path in root.rglob("*") if path.is_file()]

    assert "metadata.sqlite" in {path.name for path in kept}
    assert [] == [path for path in kept if any(secret in path.read_bytes() for secret in SECRETS)]
    assert not any(secret in shown for secret in SECRETS)
    assert [] == [*(root / ".linewright" / "scratch").iterdir()]


PICTURES = """
line: tiles
sources: {tiles: {files: "s3://plant/tiles", at: env:PLANT}, rows: {file: rows.csv}}
table: {key: name, sql: "select t.name, t.file, r.state from tiles t join rows r on t.name = r.name order by t.name"}
label: {column: state}
contract: {columns: {file: {type: file}}}
"""


def test_pictures_of_a_bucket_are_kept_with_the_rows(bucket: Path, tmp_path: Path) -> None:
    """What was fetched is gone afterwards; the dataset version has the bytes."""
    pillow = pytest.importorskip("PIL.Image")
    folder = bucket.parent / "tiles"
    folder.mkdir()
    for number in range(12):
        pillow.new("RGB", (8, 8), (20 * number, 0, 0)).save(folder / f"{number}.png")
    root = tmp_path / "factory"
    with Factory.create(root) as factory:
        allow_here(root)
        rows = [f"{number}.png,{'red' if number > 5 else 'black'}" for number in range(12)]
        (root / "rows.csv").write_text("\n".join(["name,state", *rows]) + "\n")
        (root / "lines" / "tiles.yaml").write_text(PICTURES)
        spec = factory.line("tiles")
        ingested = ingest(factory.context, spec, root)
        dataset = factory.metadata.get(ingested.dataset, Dataset)
        read = read_dataset(dataset, factory.artifacts, factory.metadata)

        assert 12 == read.height
        kept = {factory.artifacts.get(digest) for digest in read["file"]}
        assert {(folder / f"{number}.png").read_bytes() for number in range(12)} == kept
    assert [] == [*(root / ".linewright" / "scratch").iterdir()]


@pytest.mark.usefixtures("bucket")
def test_a_line_is_made_of_files_by_their_url(tmp_path: Path) -> None:
    """As a command has it: a path has lost a slash of the URL."""
    root = tmp_path / "factory"
    given = GivenRoles(label="churned", positive="yes", key="id")
    with Factory.create(root):
        allow_here(root)
    data, access = Path("s3://plant/customers/part-*.csv"), Access(at="env:PLANT")
    made = new_line(root, "churn", data, given, access=access)

    assert (240, 3) == (made.rows, made.columns)
    text = (root / "lines" / "churn.yaml").read_text()
    assert '  churn: {file: "s3://plant/customers/part-*.csv", at: env:PLANT}' in text
    with Factory.open(root) as factory:
        assert "s3://plant/customers/part-*.csv" == factory.line("churn").sources["churn"].describe()
    assert [] == [*(root / ".linewright" / "scratch").iterdir()]


@pytest.mark.parametrize(
    ("data", "at", "says"),
    [
        ("https://ann:Pa55w0rd@127.0.0.1/a.csv", None, "cannot be read as the URL"),
        ("a.csv", "env:PLANT", "only a URL is read with keys"),
        ("s3://plant/a.csv", "Pa55w0rd", "names no secret"),
        ("ftp://127.0.0.1/a.csv", None, "a URL stands in the list of processes"),
    ],
)
def test_what_is_said_of_a_url_is_refused_without_what_is_secret(
    tmp_path: Path, data: str, at: str | None, says: str
) -> None:
    with pytest.raises(RequestError, match=says) as error:
        new_line(tmp_path, "churn", Path(data), GivenRoles(label="x"), access=Access(at=at))

    assert "Pa55w0rd" not in f"{error.value} {error.value.to_json()}"


@pytest.mark.parametrize("form", ["list", "object"])
def test_a_line_is_made_of_a_service_by_the_url_of_its_first_page(tmp_path: Path, form: str) -> None:
    """Taken for a file, it would have the rows of that page alone."""
    pytest.importorskip("httpx")

    def answer(asked: Asked) -> None:
        start = int(asked.parameters.get("start", 0))
        rows = [{"id": start + n, "plan": "ab"[n % 2], "churned": n % 4 == 1} for n in range(60)]
        more = f"/orders?start={start + 60}" if start < 120 else None
        link = {"Link": f'<{more}>; rel="next"'} if more else None
        found = {"meta": {"total": 180}, "data": {"orders": rows}, "links": {"next": more}}
        asked.say(rows if form == "list" else found, headers=link if form == "list" else None)

    with WebServer(answer) as server, Factory.create(tmp_path):
        allow_here(tmp_path)
        made = new_line(
            tmp_path, "churn", Path(f"{server.url}/orders"), GivenRoles(label="churned", key="id")
        )

        assert 180 == made.rows
        more = "" if form == "list" else ', items: "data.orders", next: "links.next"'
        assert f'churn: {{rest: "{server.url}/orders"{more}}}' in Path(made.path).read_text()


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ({"rows": [{"id": 1}], "next_cursor": "x7"}, "does not say how the next one is found"),
        ({"rows": [{"id": 1}], "others": [{"id": 1}]}, "has several lists"),
        ({"error": "nothing here"}, "has no list of rows"),
    ],
)
def test_a_page_that_does_not_say_enough_is_refused_with_the_words_to_write(
    tmp_path: Path, page: dict[str, Any], says: str
) -> None:
    pytest.importorskip("httpx")
    with WebServer(lambda asked: asked.say(page)) as server, Factory.create(tmp_path):
        allow_here(tmp_path)
        with pytest.raises(RequestError, match=says) as error:
            new_line(
                tmp_path, "churn", Path(f"{server.url}/orders?key=Pa55w0rd"), GivenRoles(label="churned")
            )

    assert "write the line file by hand" in error.value.hint
    assert "Pa55w0rd" not in f"{error.value}"
