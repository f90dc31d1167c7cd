"""Files of buckets and of web servers, and rows of REST services, read from servers that start here."""

import csv
import io
import json
import os
import shutil
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from web_server import KEYS, Asked, Serve, allow_here, bucket_server, moto_server

from linewright.data.read.reader import fingerprint, read_live
from linewright.data.read.source import open_source
from linewright.data.spec import FileSource, FilesSource, RestLimits, RestSource, SourceSpec
from linewright.errors import RequestError, Transient
from linewright.testing.sources import SourceContract, Texts, Write

Rows = list[dict[str, Any]]


class Bucket(NamedTuple):
    """A bucket named plant."""

    folder: Path
    """Holds what is in the bucket, below `plant`."""
    url: str
    is_moto: bool
    """Whether the server has its own copy."""

    def put(self, name: str, text: str | bytes) -> None:
        """Write an object."""
        path = self.folder / "plant" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if self.is_moto:
            self.ask("PUT", f"/plant/{quote(name)}", path.read_bytes())

    def ask(self, method: str, path: str, body: bytes = b"") -> None:
        """Ask the server."""
        said = {
            "Content-Type": "application/octet-stream",
            "Authorization": "AWS 0:0",
        }  # a form, without the first
        request = urllib.request.Request(self.url + path, body, said, method=method)  # noqa: S310 -- of this test
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310


@pytest.fixture(scope="module", params=["localbucket", "moto"])
def buckets(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    pytest.importorskip("obstore")
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "plant").mkdir()
    is_moto = request.param == "moto"
    with moto_server() if is_moto else bucket_server(folder) as url:
        yield Bucket(folder, url, is_moto)


@pytest.fixture
def bucket(buckets: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("PLANT", json.dumps({"endpoint": buckets.url, **KEYS}))
    if buckets.is_moto:
        buckets.ask("POST", "/moto-api/reset")
        buckets.ask("PUT", "/plant")
    yield buckets
    for file in sorted((buckets.folder / "plant").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def as_csv(texts: Texts) -> str:
    made = io.StringIO()
    csv.writer(made).writerows([tuple(texts), *zip(*texts.values(), strict=True)])
    return made.getvalue()


class TestBucket(SourceContract):
    @pytest.fixture
    def write(self, bucket: Bucket) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            allow_here(root)
            bucket.put("a.csv", as_csv(texts))
            return FileSource(file="s3://plant/a.csv", at="env:PLANT")

        return write


class TestBucketOfSeveralFiles(SourceContract):
    is_one_part = False

    @pytest.fixture
    def write(self, bucket: Bucket) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            allow_here(root)
            for number, part in enumerate((slice(None, 100), slice(100, None))):
                bucket.put(f"d/part-{number}.csv", as_csv({name: all_[part] for name, all_ in texts.items()}))
            return FileSource(file="s3://plant/d/part-*.csv", at="env:PLANT")

        return write


class TestWebFile(SourceContract):
    @pytest.fixture
    def write(self, serve: Serve) -> Write:
        held = {"text": b""}
        server = serve(lambda asked: asked.say(held["text"]))

        def write(root: Path, texts: Texts) -> SourceSpec:
            allow_here(root)
            held["text"] = as_csv(texts).encode()
            return FileSource(file=f"{server.url}/a.csv")

        return write


class TestRest(SourceContract):
    names_columns = False

    @pytest.fixture
    def write(self, serve: Serve) -> Write:
        held: dict[str, Rows] = {"rows": []}

        def answer(asked: Asked) -> None:
            start = int(asked.parameters.get("start", 0))
            rows, end = held["rows"], start + 70
            more = f"?start={end}" if end < len(rows) else None
            asked.say({"data": rows[start:end], "links": {"next": more}})

        server = serve(answer)

        def write(root: Path, texts: Texts) -> SourceSpec:
            allow_here(root)
            named = zip(*texts.values(), strict=True)
            held["rows"] = [dict(zip(texts, row, strict=True)) for row in named]
            return RestSource(rest=f"{server.url}/rows", items="data", next="links.next")

        return write


def rows_of(spec: SourceSpec, root: Path) -> Rows:
    """Return the rows of a source."""
    allow_here(root)
    return [row for batch in open_source("orders", spec, root).batches() for row in batch.frame.to_dicts()]


def test_files_are_one_by_a_folder_a_pattern_or_a_name(bucket, tmp_path):
    """As of this machine: what is hidden is not meant, and `*` ends at a slash."""
    for name in ("d/a.csv", "d/b.csv", "d/_SUCCESS", "d/.c.csv", "d/e/f.csv", "de.csv"):
        bucket.put(name, f"name\n{name}\n")
    for file, names in (
        ("d", ["d/a.csv", "d/b.csv"]),
        ("d/", ["d/a.csv", "d/b.csv"]),
        ("d/*.csv", ["d/a.csv", "d/b.csv"]),
        ("d/[!a].csv", ["d/b.csv"]),
        ("**/*.csv", ["d/a.csv", "d/b.csv", "d/e/f.csv", "de.csv"]),
        ("d/**/f.csv", ["d/e/f.csv"]),
        ("d/e/**", ["d/e/f.csv"]),
        ("d*", ["de.csv"]),
        ("d/e/f.csv", ["d/e/f.csv"]),
    ):
        spec = FileSource(file=f"s3://plant/{file}", at="env:PLANT")

        assert names == [row["name"] for row in rows_of(spec, tmp_path)], file
    for file in ("s3://plant/c.csv", "s3://plant/c/*.csv", "s3://nothing/a.csv", "s3://nothing/*"):
        with pytest.raises(RequestError, match="no such file") as error:
            rows_of(FileSource(file=file, at="env:PLANT"), tmp_path)
        assert "sources.orders.file" == error.value.where


def test_objects_may_have_any_names(bucket, tmp_path):
    names = ["a b.csv", "ä+ö.csv", "50%.csv", "c#d?.csv", "x=1&y=2.csv"]
    for name in names:
        bucket.put(f"n/{name}", f"name\n{name}x\n")

    rows = rows_of(FileSource(file="s3://plant/n", at="env:PLANT"), tmp_path)

    assert sorted(f"{name}x".strip() for name in names) == sorted(row["name"] for row in rows)
    assert 1 == len(rows_of(FileSource(file="s3://plant/n/ä+ö.csv", at="env:PLANT"), tmp_path))


def test_files_have_one_fingerprint_wherever_they_lie(bucket, tmp_path):
    (tmp_path / "d").mkdir()
    for name, text in (("d/a.csv", "x\n1\n"), ("d/b.csv", "x\n2\n")):
        bucket.put(name, text)
        (tmp_path / name).write_text(text)
    allow_here(tmp_path)
    spec = FileSource(file="s3://plant/d", at="env:PLANT")

    assert fingerprint(FileSource(file="d"), tmp_path) == fingerprint(spec, tmp_path)
    assert fingerprint(spec, tmp_path) == read_live("orders", spec, tmp_path)[1]


def test_a_file_that_is_as_it_was_is_not_fetched_again(serve, tmp_path):
    """A plan looks at each file of a source, and one that did not change costs it one question."""
    held = {"text": b"x\n1\n"}
    server = serve(lambda asked: asked.say(held["text"], headers={"ETag": f'"{hash(held["text"])}"'}))
    spec = FileSource(file=f"{server.url}/a.csv")
    allow_here(tmp_path)
    (tmp_path / ".linewright").mkdir()
    prints = []
    for text in (b"x\n1\n", b"x\n1\n", b"x\n2\n", b"x\n2\n"):
        held["text"] = text
        server.asked.clear()
        prints.append((fingerprint(spec, tmp_path), len(server.asked)))

    assert [2, 1, 2, 1] == [asked for _, asked in prints]
    assert prints[0][0] == prints[1][0] != prints[2][0] == prints[3][0]


def test_what_was_fetched_goes_with_the_rows(bucket, tmp_path):
    """Also what a killed process has left: nobody else would remove it."""
    bucket.put("a.csv", "x\n1\n")
    allow_here(tmp_path)
    scratch = tmp_path / ".linewright" / "scratch"
    (scratch / "fetched-dead").mkdir(parents=True)
    (scratch / "fetched-dead" / ".lock").touch()
    os.utime(scratch / "fetched-dead", (0, 0))
    source = open_source("s", FileSource(file="s3://plant/a.csv", at="env:PLANT"), tmp_path)

    assert 1 == len(list(scratch.iterdir()))
    assert not (scratch / "fetched-dead").exists()
    parts = source.parts
    del source
    assert [1] == [batch.frame.height for batch in parts[0].batches()]
    del parts
    assert [] == list(scratch.iterdir())


def test_pictures_are_rows_themselves_as_those_of_this_machine(bucket, tmp_path):
    """Their names begin below the folder that is read, and what is hidden is not meant."""
    for name in ("tiles/crack/a.png", "tiles/fine/b.png", "tiles/c.png", "tiles/.d.png", "tiles/_e/f.png"):
        bucket.put(name, f"picture {name}")
    shutil.copytree(bucket.folder / "plant" / "tiles", tmp_path / "tiles")
    allow_here(tmp_path)
    for here, there in (
        ("tiles", "tiles"),
        ("tiles/*/*.png", "tiles/*/*.png"),
        ("tiles/c.png", "tiles/c.png"),
    ):
        spec = FilesSource(files=f"s3://plant/{there}", at="env:PLANT")
        local = FilesSource(files=here)
        (batch,) = open_source("s", spec, tmp_path).batches()
        (same,) = open_source("s", local, tmp_path).batches()

        assert same.frame.drop("file").equals(batch.frame.drop("file")), here
        assert fingerprint(local, tmp_path) == fingerprint(spec, tmp_path)
        assert fingerprint(spec, tmp_path) == read_live("s", spec, tmp_path)[1]
    source, _ = read_live("s", FilesSource(files="s3://plant/tiles", at="env:PLANT"), tmp_path)
    (batch,) = source.batches()
    texts = [Path(file).read_text() for file in batch.frame["file"]]

    assert [f"picture tiles/{name}" for name in batch.frame["name"]] == texts


def test_parquet_and_packed_files_are_read_too(bucket, tmp_path):
    import gzip

    import polars as pl

    made = io.BytesIO()
    pl.DataFrame({"x": [1.5, 2.5]}).write_parquet(made)
    bucket.put("a.parquet", made.getvalue())
    bucket.put("a.csv.gz", gzip.compress(b"x\n1\n"))

    assert [{"x": 1.5}, {"x": 2.5}] == rows_of(
        FileSource(file="s3://plant/a.parquet", at="env:PLANT"), tmp_path
    )
    assert [{"x": "1"}] == rows_of(FileSource(file="s3://plant/a.csv.gz", at="env:PLANT"), tmp_path)


def paged(rows: Rows, *, many: int = 3) -> Callable[[Asked], None]:
    """Return what serves rows in each way that pages are named."""

    def answer(asked: Asked) -> None:
        said = asked.parameters
        if "page" in said:
            start = many * (int(said["page"]) - 1)
            return asked.say({"data": {"rows": rows[start : start + many]}})
        start = int(said.get("after", said.get("start", "0")))
        some, end = rows[start : start + many], start + many
        is_last = end >= len(rows)
        if "link" in said:
            link = {} if is_last else {"Link": f'</rows?link=1&start={end}>; rel="next"'}
            return asked.say(some, headers=link)
        url = f"{asked.server.url}/rows?start={end}"
        return asked.say(
            {
                "data": {"rows": some},
                "links": {"next": None if is_last else url},
                "cursor": None if is_last else end,
            }
        )

    return answer


WAYS = (
    ("", {"items": "data.rows", "next": "links.next"}),
    ("", {"items": "data.rows", "next": "cursor", "parameter": "after"}),
    ("", {"items": "data.rows", "parameter": "page"}),
    ("?link=1", {}),
)


@pytest.mark.parametrize(("query", "said"), WAYS)
def test_pages_are_named_in_four_ways(serve, tmp_path, query, said):
    rows = [{"id": str(number)} for number in range(8)]
    server = serve(paged(rows))

    assert rows == rows_of(RestSource(rest=f"{server.url}/rows{query}", **said), tmp_path)


def test_values_are_as_they_are_spelled_and_what_is_nested_is_json(serve, tmp_path):
    body = (
        b'[{"id": 1.50, "n": 12345678901234567890, "ok": true, "no": null, "to": {"town": "K\xc3\xb6ln", "zip": "007"}},'
        b' {"id": "2", "list": [1, 2.5], "n": -0.0e-3}]'
    )
    server = serve(lambda asked: asked.say(body))

    first, second = rows_of(RestSource(rest=f"{server.url}/rows"), tmp_path)

    assert ("1.50", "12345678901234567890", "true", None) == tuple(
        first[name] for name in ("id", "n", "ok", "no")
    )
    assert '{"town":"Köln","zip":"007"}' == first["to"]
    assert ("2", "[1,2.5]", "-0.0e-3") == tuple(second[name] for name in ("id", "list", "n"))


class Shifting:
    """Rows of which some go or come while pages are read."""

    def __init__(self, *, at: int, change: Callable[[Rows], None], many: int = 3) -> None:
        self.rows: Rows = [{"id": number, "v": "old"} for number in range(10)]
        self._at, self._change, self._many, self._asked = at, change, many, 0

    def __call__(self, asked: Asked) -> None:
        self._asked += 1
        if self._asked == self._at:
            self._change(self.rows)
        paged(self.rows, many=self._many)(asked)


@pytest.mark.parametrize("at", range(1, 10))
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop(0),
        lambda rows: rows.insert(0, {"id": 99, "v": "new"}),
        lambda rows: rows.__delitem__(slice(0, 4)),
        lambda rows: rows[2].update(v="new"),
    ],
)
def test_no_row_is_lost_or_doubled_where_pages_shift(serve, tmp_path, at, change):
    """A row that goes moves all behind it up, over the edge of a page that was read already."""
    shifting = Shifting(at=at, change=change)
    server = serve(shifting)
    spec = RestSource(rest=f"{server.url}/rows", items="data.rows", parameter="page", key="id")

    read = [int(row["id"]) for row in rows_of(spec, tmp_path)]

    lasting = {row["id"] for row in shifting.rows} & set(range(10))
    assert lasting <= set(read)
    assert len(set(read)) == len(read)


def test_pages_that_shift_are_refused_where_nothing_tells_rows_apart(serve, tmp_path):
    shifting = Shifting(at=3, change=lambda rows: rows.pop(0))
    server = serve(shifting)
    with pytest.raises(Transient, match="move while they are read") as error:
        rows_of(RestSource(rest=f"{server.url}/rows", items="data.rows", parameter="page"), tmp_path)

    assert "`key`" in error.value.hint


def test_of_a_key_that_comes_again_the_last_row_counts(serve, tmp_path):
    server = serve(lambda asked: asked.say([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 1, "v": "c"}]))
    spec = RestSource(rest=f"{server.url}/rows", key="id")

    assert [{"id": "2", "v": "b"}, {"id": "1", "v": "c"}] == rows_of(spec, tmp_path)

    quiet = serve(lambda asked: asked.say([{"id": 2, "v": "b"}, {"id": 1, "v": "c"}]))
    same = RestSource(rest=f"{quiet.url}/rows", key="id")
    assert fingerprint(same, tmp_path) == fingerprint(spec, tmp_path)


WRONG = (
    ([{"id": 1}, 7], {}, "a row is not an object", "orders.rest"),
    ({"data": [], "total": 0}, {}, "no list of rows there", "orders.items"),
    ({"data": []}, {"items": "rows"}, "no list of rows there", "orders.items"),
    (b'[{"id": 1, "id": 2}]', {}, "same field twice", "orders.rest"),
    (
        {"data": [{"id": 1}], "next": "\ud800"},
        {"items": "data", "next": "next", "parameter": "after"},
        "no URL",
        "orders.rest",
    ),
    (b"<html>sign in</html>", {}, "not JSON", "orders.rest"),
    (b"[%s{}]" % (b"{}," * 2_000_000), {}, "more than 2,000,000 objects", "orders.rest"),
    (
        {"data": [{"id": 1}], "next": {"a": 1}},
        {"items": "data", "next": "next"},
        "neither text",
        "orders.rest",
    ),
    ({"data": [{"id": 1}], "next": "/rows"}, {"items": "data", "next": "next"}, "circle", "orders.rest"),
    ([{"id": 1}], {"parameter": "page"}, "two pages are the same", "orders.rest"),
    ([{" ": 1}], {}, "a field has no name", "orders"),
    ([{f"c{number}": 1 for number in range(10_001)}], {}, "more than 10,000 columns", "orders"),
    ([{"id": 1}, {"n": 2}], {"key": "id"}, "no value that tells", "orders.key"),
    ([{"id": 1}, {"id": 2}], {"limits": RestLimits(rows=1)}, "more than 1 rows", "orders"),
)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_as_the_source_says_is_said(serve, tmp_path, wrong):
    body, said, says, where = wrong
    server = serve(lambda asked: asked.say(body))
    with pytest.raises(RequestError, match=says) as error:
        rows_of(RestSource(rest=f"{server.url}/rows", **said), tmp_path)

    assert f"sources.{where}" == error.value.where


def test_a_field_that_comes_twice_is_found_among_many_at_once(serve, tmp_path):
    """Who answers with a million fields before it would stop the run for hours, beyond any limit of its time."""
    fields = b",".join(b'"%d":0' % number for number in range(300_000))
    server = serve(lambda asked: asked.say(b'[{%s,"z":0,"z":0}]' % fields))
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it compares each field with each"))
    signal.alarm(60)
    try:
        with pytest.raises(RequestError, match="same field twice: z"):
            rows_of(RestSource(rest=f"{server.url}/rows"), tmp_path)
    finally:
        signal.alarm(0)


def test_pages_that_each_bring_new_fields_are_read_until_there_are_too_many(serve, tmp_path):
    """Their names lie in memory, and the pages need not end."""

    def new_fields(asked):
        number = asked.path.partition("page=")[2]
        asked.say([{f"c{number}-{each}": 1 for each in range(6_000)}])

    server = serve(new_fields)
    with pytest.raises(RequestError, match="more than 10,000 columns"):
        rows_of(RestSource(rest=f"{server.url}/rows", parameter="page"), tmp_path)

    assert len(server.asked) <= 4


def test_urls_that_are_none_are_mistakes_of_the_line_file():
    for spec, where in (
        (FileSource(file="s3://plant:80/a.csv"), "file"),
        (FileSource(file="s3:///a.csv"), "file"),
        (FileSource(file="http:/a"), "file"),
        (FileSource(file="https://ann:pw@example.com/a.csv"), "file"),
        (FileSource(file="a.csv", at="env:PLANT"), "at"),
        (RestSource(rest="s3://plant/a"), "rest"),
        (FilesSource(files="https://example.com/"), "files"),
        (FilesSource(files="tiles", at="env:PLANT"), "at"),
        (RestSource(rest="https://exa mple.com/"), "rest"),
    ):
        found = list(spec.mistakes())

        assert [where] == [error.where for error in found]
        assert "pw" not in f"{found[0]}"
        assert "pw" not in spec.describe()
    assert [] == list(FileSource(file="s3://plant/a b/part-*.csv", at="env:PLANT").mistakes())
    assert "https://a.example.com/x" == FileSource(file="https://a.example.com/x?token=7").describe()
