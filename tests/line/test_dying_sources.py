"""Sources that break off in the midst of their rows end a run in the same way, whatever their kind, and no secret is anywhere afterwards."""

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from databases import Between, Server, at_postgres
from shown_pages import pages_of
from sqlserver import TdsServer, at_sqlserver
from web_server import KEYS, Asked, WebServer

from linewright.capabilities.overview.operations.history import history
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline

TOKEN = "Pa55w0rd-token"  # noqa: S105 -- of a server that lives for a test
SECRETS = (*(word.encode() for word in KEYS.values()), TOKEN.encode(), b"S3cret-@-pg", b"S3cret-%40-pg")
SOURCES = {
    "sql": '{sql: "select * from customers", at: env:TEST_DB}',
    "sqlserver": '{sql: "select * from customers", at: env:SQLSERVER}',
    "history": '{sql: "select * from customers", at: env:TEST_DB, key: id, cursor: id, lag: 5}',
    "bucket": '{file: "s3://plant/a.csv", at: env:PLANT}',
    "pictures": '{files: "s3://plant/tiles", at: env:PLANT}',
    "delta": '{delta: "s3://plant/t", at: env:PLANT}',
    "web": '{file: "%s/a.csv", at: env:TOKEN}',
    "rest": '{rest: "%s/rows", at: env:TOKEN}',
    "later": '{rest: "%s/later/rows", at: env:TOKEN}',
}
"""The last one breaks off when the run reads it, after the plan has."""
FILE = """\
line: {0}
sources: {{s_{0}: {1}}}
label: {{column: churned}}
train: {{budget: quick}}
"""


@pytest.fixture
def dying(
    postgres: Server, sqlserver: TdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Make a factory with a line for each kind of source; each server ends its answer after some of its rows."""
    for extra in ("obstore", "httpx", "deltalake"):
        pytest.importorskip(extra)
    monkeypatch.setattr(import_module("linewright.plugins.web"), "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setitem(import_module("linewright.plugins.buckets")._RETRY, "max_retries", 0)
    root = tmp_path / "factory"
    Factory.create(root).close()
    (root / "factory.yaml").write_text("format: 1\nhosts: [localhost, 127.0.0.1]\n")
    with (
        WebServer(_half) as server,
        at_postgres(postgres, monkeypatch) as database,
        Between(postgres, most=20_000, drops=True) as port,
        at_sqlserver(sqlserver, monkeypatch) as other,
        Between(sqlserver, most=20_000, drops=True) as other_port,
    ):
        other.cursor().execute(
            "create table customers as select i as id, i % 3 = 0 as churned from range(20000) as q(i)"
        )
        url = sqlserver.url("shop").replace(f":{sqlserver.port}/", f":{other_port}/")
        monkeypatch.setenv("SQLSERVER", url)
        database.execute(
            "create table customers as select i as id, i % 3 = 0 as churned from generate_series(1, 20000) as i"
        )
        monkeypatch.setenv("TEST_DB", postgres.url("shop").replace(f":{postgres.port}/", f":{port}/"))
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": server.url, **KEYS}))
        monkeypatch.setenv("TOKEN", TOKEN)
        for line, source in SOURCES.items():
            said = source % server.url if "%s" in source else source
            (root / "lines" / f"{line}.yaml").write_text(FILE.format(line, said))
        yield root


ROWS = b"id,churned\n" + b"1,yes\n" * 5_000
LISTED = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    f'<ETag>"1"</ETag><Size>{len(ROWS)}</Size></Contents>'
)


def _half(asked: Asked) -> None:
    if "list-type" in asked.path:
        names = ("t/_delta_log/00000000000000000000.json", "tiles/a.png", "tiles/b.png")
        found = "".join(LISTED.format(one) for one in names if one.startswith(asked.parameters["prefix"]))
        asked.say(f"<ListBucketResult><Name>plant</Name>{found}</ListBucketResult>".encode())
    elif asked.command == "HEAD":
        headers: Mapping[str, str] = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        asked.say(ROWS, headers=headers, status=404 if "a.csv" not in asked.path else 200)
    elif "later" in asked.path and sum("later" in path for path, _ in asked.server.asked) == 1:
        asked.say([{"id": 1, "churned": True}] * 9_000)
    else:
        asked.cut([{"id": 1}] * 9_000 if "/rows" in asked.path else ROWS, most=9_000)


def test_each_kind_of_source_that_breaks_off_ends_a_run_alike(dying: Path) -> None:
    """Exit code 6, the name of the source, no dataset, nothing left of what was fetched; and the byte search."""
    seen: list[str] = []
    with Factory.open(dying) as factory:
        for line in SOURCES:
            with pytest.raises(Transient, match=f"source 's_{line}'") as error:
                execute_inline(factory, line)
            seen += [str(error.value), json.dumps(error.value.to_json()), str(history(factory, line))]

            assert 6 == error.value.exit_code
            assert "nothing of this source was kept" in error.value.hint, line
        kinds = {kind for _, kind, _ in factory.metadata.results()}

    assert not {"dataset", "ingested", "source_history"} & kinds
    assert [] == [*(dying / ".linewright" / "scratch").iterdir()]
    get = pages_of(dying)
    pages = {
        path: get(path)
        for path in ("/", "/runs", "/sources", "/inbox", *(f"/lines/{line}" for line in SOURCES))
    }
    pages |= {link: get(link) for link in pages["/runs"].links if link.startswith("/runs/")}
    assert len(pages) > 4 + len(SOURCES)
    assert {200} == {page.status for page in pages.values()}
    shown = "".join([*seen, *(page.html for page in pages.values())]).encode()
    assert "does not answer as it should" in "".join(page.html for page in pages.values())
    assert not any(secret in shown for secret in SECRETS)
    kept = [path for path in dying.rglob("*") if path.is_file()]
    assert [] == [path for path in kept if any(secret in path.read_bytes() for secret in SECRETS)]
