"""Databases that are not there, are slow, break off or say no; hosts that may not be asked; passwords that nobody repeats."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import duckdb
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from databases import Between, Server, allow, at_mariadb, at_postgres
from ports import free_port
from sqlserver import TdsServer, at_sqlserver

from linewright.data.ingest import check_sources
from linewright.data.read.reader import column_names, fingerprint
from linewright.data.read.source import open_source
from linewright.data.read.sql import sql_reader
from linewright.data.spec import DataSpec, LabelSpec, QueryLimits, SqlSource, TableSpec
from linewright.errors import LinewrightError, RequestError, SpecError, Transient
from linewright.line.file.factory_file import parse_factory_file
from linewright.line.file.read import parse_line
from linewright.store.files.secret import shown_place
from linewright.text.database_url import read_database_url


@pytest.fixture(params=["postgres", "adbc", "mariadb", "sqlserver"])
def server(request: pytest.FixtureRequest, processes: None) -> Server:
    del processes
    return request.getfixturevalue(request.param)


@pytest.fixture
def database(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Fill a table of 20,000 rows."""
    numbers = (
        "select seq from seq_1_to_20000" if server.scheme == "mysql" else "select generate_series(1, 20000)"
    )
    if server.scheme == "mssql":
        numbers = "select n from range(20000) as q(n)"
    at = {"mysql": at_mariadb, "mssql": at_sqlserver}.get(server.scheme, at_postgres)
    with at(server, monkeypatch) as connection:
        connection.execute("create table customers (id int, name varchar(20))")
        connection.execute(f"insert into customers select q.*, 'somebody' from ({numbers}) as q")  # noqa: S608
    return server


def source(sql: str = "select * from customers", *, seconds: float = 20, rows: int = 10**6) -> SqlSource:
    return SqlSource(sql=sql, at="env:TEST_DB", limits=QueryLimits(rows=rows, seconds=seconds))


def refused(spec: SqlSource, root: Path, kind: type[LinewrightError]) -> LinewrightError:
    allow(root)
    with pytest.raises(kind) as found:
        open_source("claims", spec, root)
    assert kind is type(found.value)
    return found.value


def test_a_server_that_is_not_there_is_named_and_may_be_back_later(database, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_DB", database.url("shop").replace(f":{database.port}/", f":{free_port()}/"))

    error = refused(source(), tmp_path, Transient)

    assert 6 == error.exit_code
    assert "source 'claims'" in error.what
    assert "sources.claims.at" == error.where
    with pytest.raises(Transient, match="source 'claims'"):
        fingerprint(source(), tmp_path, "sources.claims")


@pytest.mark.parametrize("most", [0, 60, 5_000, 100_000])
def test_an_answer_that_breaks_off_gives_no_half_of_the_rows(database, tmp_path, monkeypatch, most):
    """At the greeting, at the password, at the first rows, in the midst of them."""
    with Between(database, most=most, drops=True) as port:
        monkeypatch.setenv("TEST_DB", database.url("shop").replace(f":{database.port}/", f":{port}/"))
        error = refused(source(), tmp_path, Transient)

    assert "source 'claims'" in error.what
    assert "nothing of this source was kept" in error.hint


GREETING = (
    b"\x0a5.5.5\0" + bytes(13) + b"\xff\xf7\x2d\x02\0\xff\x81\x15" + bytes(23) + b"mysql_native_password\0"
)
FINE = b"\0\0\0\x02\0\0\0"
WANTS_FILE = b"\xfb/etc/passwd"
KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[bytes]]]:
    """Give a function that has a server of the test's say some packets, and returns what it will have heard."""
    pytest.importorskip("pymysql")
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(5)
    threads: list[threading.Thread] = []

    def serve(said: Sequence[bytes], heard: list[bytes]) -> None:
        connection, _ = listening.accept()
        connection.settimeout(5)
        with connection, suppress(OSError):
            number = 0
            for packet in said:
                connection.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)
                heard.append(connection.recv(2048))
                number = (heard[-1][3:4] or b"\0")[0] + 1

    def say(*said: bytes) -> list[bytes]:
        monkeypatch.setenv("TEST_DB", f"mysql://reader:abc123@localhost:{listening.getsockname()[1]}/shop")
        heard: list[bytes] = []
        threads.append(threading.Thread(target=serve, args=(said, heard)))
        threads[-1].start()
        return heard

    yield say
    for one in threads:
        one.join()
    listening.close()


@pytest.mark.parametrize(
    "said", [(b"\x0a",), (GREETING, FINE, FINE, FINE, WANTS_FILE), (GREETING, FINE, FINE, FINE, FINE)]
)
def test_a_server_that_sends_what_is_no_answer_gets_no_file_and_is_named(tmp_path, say, said):
    say(*said)

    assert "does not answer as it should" in str(refused(source(), tmp_path, Transient))


@pytest.mark.parametrize("way", [b"mysql_clear_password", b"dialog"])
def test_the_password_of_mariadb_is_not_sent_in_the_open(tmp_path, say, way):
    """Who stands between and asks for it as if they were the server gets none."""
    heard = say(GREETING, b"\xfe" + way + b"\0\x05Password: ", FINE)

    assert "add ssl_ca" in refused(source(), tmp_path, RequestError).what
    assert b"abc123" not in b"".join(heard)


@pytest.mark.parametrize(
    "said",
    [
        [b"\xfesha256_password\0" + bytes(20), b"\x01" + KEY],
        [b"\xfecaching_sha2_password\0" + bytes(20), b"\x01\x04", b"\x01" + KEY],
    ],
)
def test_the_password_of_mariadb_is_not_encrypted_with_a_key_that_the_server_sends(tmp_path, say, said):
    """Who stands between sends a key of their own, and would read what is encrypted with it."""
    heard = say(GREETING, *said, FINE)

    assert "add ssl_ca" in refused(source(), tmp_path, RequestError).what
    assert not [one for one in heard if len(one) > 200]


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+adbc"])
def test_the_password_of_postgresql_is_not_sent_in_the_open(tmp_path, monkeypatch, scheme):
    """Who stands between says that there is no TLS and asks for the password: they get none."""
    if scheme == "postgresql+adbc":
        pytest.importorskip("adbc_driver_postgresql")
    heard, listening = bytearray(), socket.create_server(("127.0.0.1", 0))
    listening.settimeout(5)
    monkeypatch.setenv("TEST_DB", f"{scheme}://reader:abc123@localhost:{listening.getsockname()[1]}/shop")

    def serve() -> None:
        connection, _ = listening.accept()
        connection.settimeout(5)
        with connection, suppress(OSError):
            while connection.recv(2048)[4:8] in {b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"}:
                connection.sendall(b"N")
            connection.sendall(b"R\0\0\0\x08\0\0\0\x03")
            heard.extend(connection.recv(2048))

    serving = threading.Thread(target=serve)
    serving.start()
    error = refused(source(), tmp_path, RequestError)
    serving.join()
    listening.close()

    assert b"abc123" not in heard
    assert "sslmode=verify-full" in error.what


@pytest.mark.parametrize("most", [5_000, 100_000])
def test_a_server_that_falls_silent_is_left_in_time(database, tmp_path, monkeypatch, most):
    with Between(database, most=most, drops=False) as port:
        monkeypatch.setenv("TEST_DB", database.url("shop").replace(f":{database.port}/", f":{port}/"))
        began = monotonic()
        error = refused(source(seconds=1), tmp_path, Transient)

    assert monotonic() - began < 10
    assert "sources.claims.limits.seconds" in error.hint


def test_a_query_that_takes_too_long_is_ended_at_the_server_too(database, tmp_path):
    is_mysql = database.scheme == "mysql"
    slow = "select sleep(20) as x" if is_mysql else "select 1 as x from pg_sleep(20)"
    if isinstance(database, TdsServer):
        database.slow.add(slow)
    began = monotonic()

    error = refused(source(slow, seconds=0.5), tmp_path, Transient)

    assert monotonic() - began < 10
    assert "gave no row for 0.5 s" in error.what
    if isinstance(database, TdsServer):
        while database.running and monotonic() - began < 20:
            sleep(0.01)
        assert [] == database.running
        return
    running = (
        "select info from information_schema.processlist where info like 'select sleep%' and command = 'Query'"
        if is_mysql
        else "select query from pg_stat_activity where query like '%pg_sleep(20)' and state = 'active'"
    )
    (left,) = open_source("s", source(running), tmp_path).batches()
    assert 0 == left.frame.height


def test_what_will_fail_again_is_said_with_what_to_change(database, tmp_path, monkeypatch):
    """Exit 2, the place in the line file, and the tables that there are."""
    error = refused(source("select * from custmers"), tmp_path, SpecError)

    assert 2 == error.exit_code
    assert "sources.claims.sql" == error.where
    assert "the database has customers" in error.hint
    assert "more than 1,000 rows" in str(refused(source(rows=1000), tmp_path, RequestError))
    assert "limits.rows" in refused(source(rows=1000), tmp_path, RequestError).hint
    assert "name them with AS" in refused(source("select id, id from customers"), tmp_path, SpecError).hint
    if database.scheme == "mysql":
        assert (
            "name it with AS" in refused(source("select id as `` from customers"), tmp_path, SpecError).hint
        )
    for changed in ({"password": "wrong"}, {"database": "nowhere"}):
        said = {"database": "shop", **changed}
        monkeypatch.setenv("TEST_DB", database.url(said["database"], password=said.get("password")))
        error = refused(source(), tmp_path, RequestError)

        assert "lets nobody in" in error.what
        assert f"localhost:{database.port}/{said['database']}" == error.found


WRITING = (
    "insert into customers values (1, 'x')",
    "delete from customers",
    "select 1; delete from customers",
    "select 1 as x; commit; drop table customers",
    "drop table customers",
    "select * into other from customers",
    "set @x = 1",
)
WRITING_MARIADB = (
    "select * from customers into outfile '/tmp/linewright-test'",
    "select 1 into @x",
    "select * from customers for update",
    "select * from customers lock in share mode",
    "select 1 /*! into outfile '/tmp/linewright-test' */",
    "select 1.5into outfile '/tmp/linewright-test'",
    "select 1e5into outfile '/tmp/linewright-test'",
    "select 1 --\u00a0 x into outfile '/tmp/linewright-test' from (select 1 as `\u00a0`) as q",
    "select 1 --\x01 '\n into outfile \"/tmp/linewright-test\" -- '",
    "select 1 --\0 '\n into outfile \"/tmp/linewright-test\" -- '",
    "select 1.5for update",
)
WRITING_SQLSERVER = (
    "select 1 as x delete from customers",
    "select 1into other from customers",
    "select 0x1into other from customers",
    "select 1 as x /* a /* b */ delete from customers /* */ */ drop table customers",
    "select 1 as x -- \r delete from customers",
    "select 1 as x exec xp_cmdshell 'dir'",
    "select 1 as x commit transaction drop table customers",
    "select 1 as x from openquery(other, 'delete from t')",
    "select * from customers with (tablockx)",
    "exec sp_who",
)
WRITING_POSTGRES = (
    "with gone as (delete from customers returning *) select * from gone",
    "select set_config('transaction_read_only', 'off', false)",
    "copy customers to stdout",
    "select nextval('counted')",
)


def test_only_one_select_is_carried_out_and_nothing_is_written(database, tmp_path):
    is_mysql = database.scheme == "mysql"
    own = {"mysql": WRITING_MARIADB, "mssql": WRITING_SQLSERVER}.get(database.scheme, WRITING_POSTGRES)
    for query in (*WRITING, *own):
        refused(source(query), tmp_path, SpecError)

    many = open_source("s", source("select count(*) as n from customers;  "), tmp_path)

    assert [20_000] == [n for batch in many.batches() for n in batch.frame["n"]]
    quoted = "select ';into' as a -- ; into\n, \"it's\" as b" if is_mysql else "select ';into' as a -- ; into"
    open_source("s", source(quoted), tmp_path)
    if is_mysql:
        escaped = open_source("s", source("select 'a\\'; delete from customers -- ' as a"), tmp_path)

        assert ["a'; delete from customers --"] == [
            a for batch in escaped.batches() for a in batch.frame["a"]
        ]
    elif database.scheme == "postgresql":
        # What PostgreSQL lets a read-only transaction do is never committed.
        open_source("s", source("select lo_create(1) as x"), tmp_path)
        found = open_source("s", source("select count(*) as n from pg_largeobject_metadata"), tmp_path)

        assert [0] == [n for batch in found.batches() for n in batch.frame["n"]]


def test_sqlserver_gives_rows_of_one_moment_or_says_what_that_takes(sqlserver, tmp_path, monkeypatch):
    """Where a database keeps no versions of rows only locks do it, which writers wait for: they must be asked for."""
    with at_sqlserver(sqlserver, monkeypatch) as server:
        server.execute("create table customers (id int)")
        for state, versioned in ((1, 0), (0, 1)):
            server.snapshot, server.versioned = state, versioned
            allow(tmp_path)
            open_source("s", source(), tmp_path)
        server.snapshot = server.versioned = 0

        assert "ALLOW_SNAPSHOT_ISOLATION" in refused(source(), tmp_path, RequestError).hint
        monkeypatch.setenv("TEST_DB", f"{server.url('shop')}&isolation=serializable")
        open_source("s", source(), tmp_path)


def test_the_password_of_sqlserver_is_only_told_to_who_has_the_certificate(sqlserver, tmp_path, monkeypatch):
    """Without TLS anybody on the way could read it: the URL must say so. A server cannot send who asks to another one."""
    with at_sqlserver(sqlserver, monkeypatch) as server:
        server.execute("create table customers (id int)")
        bare = server.url("shop").partition("?")[0]
        monkeypatch.setenv("TEST_DB", bare)
        assert "certificate" in refused(source(), tmp_path, RequestError).what
        server.encryption = 2
        monkeypatch.setenv("TEST_DB", server.url("shop"))
        assert "encrypt=no" in refused(source(), tmp_path, RequestError).hint
        assert [] == server.logins
        monkeypatch.setenv("TEST_DB", f"{bare}?encrypt=no")
        open_source("s", source(), tmp_path)
        server.encryption = 3
        assert "required by server" in refused(source(), tmp_path, RequestError).what
        server.encryption, server.route = 0, ("127.0.0.1", 9)
        monkeypatch.setenv("TEST_DB", server.url("shop"))
        assert "127.0.0.1:9" in refused(source(), tmp_path, RequestError).what
        for option in ("encrypt=maybe", "isolation=chaos", "sslmode=off"):
            monkeypatch.setenv("TEST_DB", f"{bare}?{option}")
            refused(source(), tmp_path, SpecError)
        monkeypatch.setenv("TEST_DB", f"{bare}?ssl_ca=/nowhere/ca.pem")
        assert "ssl_ca" in refused(source(), tmp_path, RequestError).hint


@pytest.mark.parametrize("mode", ["ANSI", "ORACLE"])
def test_quotes_of_mariadb_mean_texts_whatever_the_server_is_set_to(mariadb, tmp_path, monkeypatch, mode):
    """In double quotes that were a name, a backslash would end what is skipped as a text, and what follows would be carried out."""
    query = 'select 1 as "a\\" into outfile \'/tmp/linewright-test\' -- "'
    allow(tmp_path)
    with at_mariadb(mariadb, monkeypatch) as cursor:
        cursor.execute("select @@global.sql_mode")
        ((before,),) = cursor.fetchall()
        cursor.execute(f"set global sql_mode = '{mode}'")
        try:
            found = open_source("s", source(query), tmp_path)
        finally:
            cursor.execute(f"set global sql_mode = '{before}'")

    assert ("a\" into outfile '/tmp/linewright-test' -- ",) == found.columns


@pytest.mark.parametrize("driver", ["", "adbc"])
def test_the_rows_are_of_one_moment(postgres, driver, tmp_path, monkeypatch):
    """A writer who commits while rows are fetched changes none of them."""
    with at_postgres(replace(postgres, driver=driver), monkeypatch) as connection:
        connection.execute("create table t (id int, version int)")
        connection.execute("insert into t select n, 0 from generate_series(1, 200000) n")
        ended = threading.Event()

        def write() -> None:
            with psycopg.connect(postgres.url("shop"), autocommit=True) as other:
                while not ended.is_set():
                    other.execute("update t set version = version + 1 where id % 100 = 0")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            allow(tmp_path)
            spec = source("select id % 100 = 0 as is_written, version from t")
            for _ in range(2):
                read = [batch.frame for batch in open_source("s", spec, tmp_path).batches()]
                versions = {row for frame in read for row in frame.unique().rows()}

                assert 2 == len(versions), versions
        finally:
            ended.set()
            writer.join()


HOSTS = (
    ("db.example.com", (), "db.example.com"),
    ("127.0.0.1", ("localhost",), "127.0.0.1"),
    ("[::1]", ("127.0.0.1",), "::1"),
    ("169.254.169.254", ("db.example.com",), "169.254.169.254"),
    ("2130706433", ("db.example.com",), "2130706433"),
)


def test_only_hosts_that_factory_yaml_names_are_asked(tmp_path, monkeypatch):
    """A line file of somebody else's must not ask what listens on this machine or beside it."""
    for host, allowed, found in HOSTS:
        (tmp_path / "factory.yaml").write_text(f"format: 1\nhosts: [{', '.join(allowed)}]\n")
        monkeypatch.setenv("TEST_DB", f"postgresql://u:p@{host}/d")
        with pytest.raises(SpecError) as error:
            open_source("s", source(), tmp_path)

        assert found == error.value.found
        assert f"hosts: [{', '.join((*allowed, found))}]" in error.value.hint
    for folder in (
        "postgresql:///d?host=/run/a",
        "postgresql://u:p@/d?hostaddr=127.0.0.1&host=/run/a",
        "postgresql:///d",
    ):
        monkeypatch.setenv("TEST_DB", folder)
        with pytest.raises(SpecError, match="may not be read from"):
            open_source("s", source(), tmp_path)


def test_a_name_that_comes_to_mean_this_machine_is_refused(tmp_path, monkeypatch):
    """Who owns a name decides what it stands for, at each look."""
    addresses = {
        "inside.example.com": "127.0.0.1",
        "link.example.com": "169.254.1.1",
        "six.example.com": "::ffff:127.0.0.1",
    }

    def found(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(None, None, None, "", (addresses[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    for name, address in addresses.items():
        (tmp_path / "factory.yaml").write_text(f"format: 1\nhosts: [{name}]\n")
        monkeypatch.setenv("TEST_DB", f"postgresql://u:p@{name}/d")
        with pytest.raises(SpecError, match="this machine or its link") as error:
            open_source("s", source(), tmp_path)

        assert address == error.value.found


def test_options_of_a_url_reach_no_other_server(postgres, tmp_path, monkeypatch):
    for option in ("hostaddr=10.0.0.1", "service=x", "options=-cx=y", "passfile=/etc/passwd", "host=/run/a"):
        monkeypatch.setenv("TEST_DB", f"{postgres.url('postgres')}?{option}")

        assert "options that are not taken" in refused(source(), tmp_path, SpecError).what


SECRETS = (
    "postgresql://zoe7:Pa55-w0rd@db.example.com:5432/shop",
    "postgresql://zoe7:Pa55/w0rd@db.example.com/shop",
    "postgresql://zoe7:Pa55#w0rd@db.example.com/shop",
    "postgresql://zoe7:Pa55?w0rd@db.example.com/shop",
    "postgresql://zoe7:Pa55@w0rd@db.example.com/shop",
    "postgresql://Pa55:w0rd@db.example.com:99999/shop",
    "Pa55-w0rd",
    "ftp://zoe7:Pa55-w0rd@db.example.com",
    "postgresql://db.example.com/shop?password=Pa55-w0rd",
)


@pytest.mark.parametrize("url", SECRETS)
def test_nothing_of_a_url_is_shown_but_its_place(tmp_path, monkeypatch, url):
    """Whatever is wrong with it: a part that is not understood may be the password."""
    monkeypatch.setenv("TEST_DB", url)
    error = refused(source(), tmp_path, SpecError)
    shown = f"{error} {error.to_json()} {shown_place('env:TEST_DB')} {source().describe()}"

    assert "Pa55" not in shown
    assert "w0rd" not in shown
    assert "zoe7" not in shown


def test_hosts_are_names_and_addresses():
    assert ("db.example.com", "::1", "/run/postgresql") == parse_factory_file(
        "format: 1\nhosts: [db.example.com, '::1', /run/postgresql]\n", name="f"
    ).hosts
    with pytest.raises(SpecError, match="name or address of a host"):
        parse_factory_file("format: 1\nhosts: ['postgresql://db.example.com']\n", name="f")


@pytest.mark.parametrize(
    ("scheme", "driver", "plugin", "extra"),
    [
        ("mysql", "pymysql", "mysql", "mysql"),
        ("postgresql+adbc", "adbc_driver_postgresql", "postgresql_adbc", "adbc"),
    ],
)
def test_a_driver_that_is_missing_is_named(tmp_path, monkeypatch, *, scheme, driver, plugin, extra):
    import sys

    monkeypatch.setitem(sys.modules, driver, None)
    monkeypatch.delitem(sys.modules, f"linewright.plugins.{plugin}", raising=False)
    monkeypatch.delitem(sys.modules, f"{driver}.dbapi", raising=False)
    monkeypatch.setenv("TEST_DB", f"{scheme}://u:p@localhost/d")

    assert f"pip install 'linewright[{extra}]'" in refused(source(), tmp_path, RequestError).hint


@pytest.mark.usefixtures("database")
def test_columns_are_known_without_rows(tmp_path):
    allow(tmp_path)

    assert ("id", "name") == column_names("s", source(), tmp_path)


def test_parts_of_a_url_are_decoded():
    url = read_database_url("mariadb://a%40b:c%2Fd@[::1]:3307/my%20shop?ssl_ca=/a/b.pem")

    assert ("mysql", "a@b", "c/d", "::1", 3307, "my shop", {"ssl_ca": "/a/b.pem"}) == (
        url.scheme,
        url.user,
        url.password,
        url.host,
        url.port,
        url.database,
        url.options,
    )


@pytest.mark.usefixtures("database")
def test_each_address_of_a_name_is_tried(tmp_path, monkeypatch):
    """`localhost` often is ::1 first, and servers often listen on 127.0.0.1 alone."""
    monkeypatch.setattr(sql_reader, "addresses_of", lambda *_, **__: ("::1", "127.0.0.1"))

    assert ("id", "name") == column_names("s", source(), tmp_path)


def test_a_url_may_be_in_a_file(database, tmp_path):
    """Relative paths start from the factory's folder."""
    (tmp_path / "db.url").write_text(database.url("shop") + "\n")
    allow(tmp_path)
    spec = SqlSource(sql="select * from customers", at="file:db.url")

    assert ("id", "name") == column_names("s", spec, tmp_path)
    assert "a query on file:db.url" == spec.describe()
    assert f"a query on localhost:{database.port}/shop" == source().describe()


@pytest.mark.usefixtures("database")
def test_tables_of_different_databases_are_joined(tmp_path, monkeypatch):
    """Each comes in its own types, so that an exact number stays one."""
    allow(tmp_path)
    with duckdb.connect(tmp_path / "a.duckdb") as other:
        other.execute(
            "create table paid as select i as id, (i / 4)::decimal(10, 2) as amount from range(1, 101) as q(i)"
        )
    monkeypatch.setenv("OTHER_DB", "duckdb:///a.duckdb")
    sources = {
        "customers": source(),
        "paid": SqlSource(sql="select * from paid order by id", at="env:OTHER_DB"),
    }
    table = TableSpec(
        sql="select id, name, amount, amount > 20 as y from customers join paid using (id) order by id"
    )
    data = DataSpec(sources=sources, table=table, label=LabelSpec(column="y"))

    checked = check_sources([open_source(name, one, tmp_path) for name, one in sources.items()], data)

    assert 100 == checked.frame.height
    assert {"id": "integer", "name": "category", "amount": "number", "y": "boolean"} == {
        one.name: one.type for one in checked.columns
    }
    assert 0.25 * 5050 == checked.frame["amount"].sum()


@pytest.mark.parametrize("at", ["Pa55w0rd", "postgresql://Pa55w0rd@db/shop", "sqlite://Pa55w0rd/shop"])
def test_what_stands_in_place_of_a_reference_is_not_shown(at):
    """It may be the password itself."""
    with pytest.raises(SpecError) as error:
        parse_line(
            f"line: a\nsources: {{s: {{sql: select 1, at: '{at}'}}}}\nlabel: {{column: y}}\n", name="a.yaml"
        )

    assert "duckdb:///PATH or sqlite:///PATH" in f"{error.value} {error.value.to_json()}"
    assert "Pa55w0rd" not in f"{error.value} {error.value.to_json()}"
