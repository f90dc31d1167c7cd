"""Command lines, files of data and line files that are wrong: each is answered by its place, and nothing is left behind."""

import gzip
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import commands
import polars as pl
import pytest
from onnx import TensorProto, helper

from linewright.interfaces.cli import main

Content = bytes | str | Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad input: the words of a command, the files that it names, and what must be answered."""

    words: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    code: int = 2
    says: tuple[str, ...]
    """Parts of the answer: the place first."""


def table(*rows: str, head: str = "part,width,colour,made,state") -> str:
    return "\n".join([head, *rows, ""])


def repeated(column: int | None = None, value: str = "", rows: int = 60) -> str:
    """Make a good table, with one value in every row of a column."""
    made = []
    for number in range(rows):
        row = [
            f"N{number:03}",
            f"{number % 17}.5",
            ["red", "blue"][number % 2],
            f"2025-01-{1 + number % 28:02}",
            ["good", "bad"][number % 3 == 0],
        ]
        if column is not None:
            row[column] = value
        made.append(",".join(row))
    return table(*made)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.csv")


def folder(path: Path) -> None:
    path.mkdir()


def parquet(path: Path) -> None:
    out = io.BytesIO()
    pl.DataFrame({"a": list(range(1000)), "state": ["good", "bad"] * 500}).write_parquet(out)
    path.write_bytes(out.getvalue()[:-200])


def database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("create table parts (part text, width real, state text)")
        made.executemany(
            "insert into parts values (?, ?, ?)",
            [(f"N{i}", i % 17, ["good", "bad"][i % 2]) for i in range(60)],
        )


def onnx_of(*, operator: str = "Relu", domain: str = "", outside: bool = False) -> Content:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 1], [1.0])
    if outside:
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", "../../../../etc/passwd"
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["width", "w"], ["z"]),
            helper.make_node(operator, ["z"], ["y"], domain=domain),
        ],
        "g",
        [helper.make_tensor_value_info("width", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 15), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def new(data: str, *more: str, label: str = "state") -> tuple[str, ...]:
    return ("new", "other", "--data", data, "--label", label, *more)


def line(*more: str, source: str = 'file: "good.csv"', label: str = "state", table: str = "{}") -> str:
    return "\n".join(
        [
            "line: other",
            f"sources: {{parts: {{{source}}}}}",
            f"table: {table}",
            f"label: {{column: {label}}}",
            *more,
            "",
        ]
    )


def sql(query: str, label: str = "state") -> str:
    return line(table='{sql: "' + query + '"}', label=label)


def predict(data: str, *more: str) -> tuple[str, ...]:
    return ("predict", "parts", data, *(more or ("--out", "out.csv")))


GOOD = repeated()
ASKED = "part,width,colour,made"
LINE = "lines/other.yaml"
OF_THEIR_OWN = ("run", "up", "serve")
"""Commands that need a process of their own, since they start threads that outlive a command."""

CASES: dict[str, Case] = {
    # Files of data, as `new` meets them
    "nul bytes": Case(
        words=new("a.csv"),
        files={"a.csv": GOOD.replace("red", "r\0d")},
        says=(
            "a.csv",
            "zero bytes",
        ),
    ),
    "only nul bytes": Case(words=new("a.csv"), files={"a.csv": b"\0" * 4096}, says=("a.csv",)),
    "empty file": Case(words=new("a.csv"), files={"a.csv": b""}, says=("a.csv", "empty")),
    "blank lines only": Case(words=new("a.csv"), files={"a.csv": b"\n\n \n"}, says=("a.csv", "empty")),
    "header only": Case(words=new("a.csv"), files={"a.csv": table()}, says=("a.csv", "no rows")),
    "one row": Case(words=new("a.csv"), files={"a.csv": table("N,1,red,2025-01-01,good")}, says=("state",)),
    "one class": Case(words=new("a.csv"), files={"a.csv": repeated(4, "good")}, says=("state", "'good'")),
    "label constant number": Case(words=new("a.csv"), files={"a.csv": repeated(4, "7")}, says=("state",)),
    "label all missing": Case(
        words=new("a.csv"), files={"a.csv": repeated(4, "")}, says=("state", "missing")
    ),
    "label all NA": Case(words=new("a.csv"), files={"a.csv": repeated(4, "NA")}, says=("state", "one value")),
    "label absent": Case(
        words=new("a.csv", label="stat"), files={"a.csv": GOOD}, says=("did you mean 'state'?",)
    ),
    "label of its own in every row": Case(
        words=new("a.csv", label="part"), files={"a.csv": GOOD}, says=("part",)
    ),
    "label is key": Case(words=new("a.csv", "--key", "state"), files={"a.csv": GOOD}, says=("state",)),
    "key absent": Case(
        words=new("a.csv", "--key", "prat"), files={"a.csv": GOOD}, says=("did you mean 'part'?",)
    ),
    "key repeated": Case(words=new("a.csv", "--key", "colour"), files={"a.csv": GOOD}, says=("colour",)),
    "time unparsable": Case(
        words=new("a.csv", "--time", "colour"), files={"a.csv": GOOD}, says=("colour", "'red'")
    ),
    "weight of text": Case(words=new("a.csv", "--weight", "colour"), files={"a.csv": GOOD}, says=("colour",)),
    "weight below nothing": Case(
        words=new("a.csv", "--weight", "width"), files={"a.csv": repeated(1, "-1")}, says=("width",)
    ),
    "exclude absent": Case(
        words=new("a.csv", "--exclude", "widht"), files={"a.csv": GOOD}, says=("did you mean 'width'?",)
    ),
    "positive absent": Case(
        words=new("a.csv", "--positive", "Bad"), files={"a.csv": GOOD}, says=("did you mean 'bad'?",)
    ),
    "header without a name": Case(
        words=new("a.csv"), files={"a.csv": GOOD.replace("colour", "", 1)}, says=("column 3",)
    ),
    "quote never closed": Case(
        words=new("a.csv"),
        files={"a.csv": GOOD.replace("red", '"red', 1)},
        says=("a.csv, line 2", "never closed"),
    ),
    "excel": Case(words=new("a.csv"), files={"a.csv": b"PK\x03\x04" + b"x" * 99}, says=("a.csv", "Excel")),
    "a database": Case(words=new("a.csv"), files={"a.csv": database}, says=("a.csv", "SQLite")),
    "parquet cut off": Case(words=new("a.parquet"), files={"a.parquet": parquet}, says=("a.parquet",)),
    "gzip cut off": Case(
        words=new("a.csv.gz"),
        files={"a.csv.gz": gzip.compress(GOOD.encode())[:200]},
        says=("a.csv.gz", "gzip"),
    ),
    "gzip of something else": Case(
        words=new("a.csv.gz"), files={"a.csv.gz": b"\x1f\x8b\x08" + b"\xff" * 99}, says=("a.csv.gz", "gzip")
    ),
    "data is a folder": Case(words=new("a.csv"), files={"a.csv": folder}, says=("--data", "no files")),
    "data is a pipe": Case(words=new("a.csv"), files={"a.csv": fifo}, says=("--data", "not a file")),
    "data is a device": Case(words=new("/dev/zero"), says=("--data", "not a file")),
    "data is a terminal's neighbour": Case(words=new("/dev/stdin"), says=("--data",)),
    "data is a loop of links": Case(
        words=new("a.csv"), files={"a.csv": loop}, says=("'data'", "symbolic links")
    ),
    "data is a link to nothing": Case(
        words=new("a.csv"), files={"a.csv": dangling}, says=("--data", "no such file")
    ),
    "data name too long": Case(words=new("a" * 5000 + ".csv"), says=("'data'", "too long")),
    "data below a file": Case(words=new("parts.csv/a.csv"), says=("--data",)),
    # Models that were imported
    "model is text": Case(
        words=new("a.csv", "--model", "m.onnx"), files={"a.csv": GOOD, "m.onnx": "x" * 99}, says=("m.onnx",)
    ),
    "model is empty": Case(
        words=new("a.csv", "--model", "m.onnx"), files={"a.csv": GOOD, "m.onnx": b""}, says=("m.onnx",)
    ),
    "model absent": Case(
        words=new("a.csv", "--model", "m.onnx"), files={"a.csv": GOOD}, says=("m.onnx", "no such file")
    ),
    "model is a folder": Case(
        words=new("a.csv", "--model", "m.onnx"), files={"a.csv": GOOD, "m.onnx": folder}, says=("m.onnx",)
    ),
    "model is a pipe": Case(
        words=new("a.csv", "--model", "m.onnx"), files={"a.csv": GOOD, "m.onnx": fifo}, says=("m.onnx",)
    ),
    "model with data outside": Case(
        words=new("a.csv", "--model", "m.onnx"),
        files={"a.csv": GOOD, "m.onnx": onnx_of(outside=True)},
        says=("m.onnx",),
    ),
    "model of an unknown operator": Case(
        words=new("a.csv", "--model", "m.onnx"),
        files={"a.csv": GOOD, "m.onnx": onnx_of(operator="Relou")},
        says=("m.onnx", "Relou"),
    ),
    "model of a foreign operator": Case(
        words=new("a.csv", "--model", "m.onnx"),
        files={"a.csv": GOOD, "m.onnx": onnx_of(operator="Run", domain="evil")},
        says=("m.onnx", "evil"),
    ),
    "model cut off": Case(
        words=new("a.csv", "--model", "m.onnx"),
        files={"a.csv": GOOD, "m.onnx": onnx_of()[:60]},
        says=("m.onnx",),
    ),  # pyright: ignore[reportIndexIssue]
    # Names of lines
    **{
        f"name {name[:9]!r}": Case(
            words=("new", name, "--data", "good.csv", "--label", "state"),
            files={"good.csv": GOOD},
            says=("found",),
        )
        for name in ("Other", "a_b", "..", "../x", "a/b", "a b", "a" * 64, "ä", "a\n", "a.yaml")
    },
    "name ''": Case(
        words=("new", "", "--data", "good.csv", "--label", "state"), files={"good.csv": GOOD}, says=("name",)
    ),
    "name taken": Case(
        words=("new", "parts", "--data", "parts.csv", "--label", "state"),
        says=("lines/parts.yaml", "never overwritten"),
    ),
    # Line files and the data they name
    "sql syntax": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("selct * from parts")},
        says=(f"{LINE}:3:",),
    ),
    "sql of two statements": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("select * from parts; drop table parts")},
        says=(f"{LINE}:3:",),
    ),
    "sql that writes": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("copy parts to 'stolen.csv'")},
        says=(f"{LINE}:3:",),
    ),
    "sql that reads files": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("select * from read_text('/etc/passwd')")},
        says=(f"{LINE}:3:",),
    ),
    "sql that reads files by name": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("select * from 'parts.csv'")},
        says=(f"{LINE}:3:",),
    ),
    "sql that attaches": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("attach 'other.db'")},
        says=(f"{LINE}:3:",),
    ),
    "sql that installs": Case(
        words=("check", "other"), files={"good.csv": GOOD, LINE: sql("install httpfs")}, says=(f"{LINE}:3:",)
    ),
    "sql of no column": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("select nope from parts")},
        says=(f"{LINE}:3:",),
    ),
    "sql without the label": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("select width from parts")},
        says=(f"{LINE}:4:",),
    ),
    "sql that fails at a row": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: sql("select colour::int as c, state from parts")},
        says=(f"{LINE}:3:",),
    ),
    "source is no database": Case(
        words=("check", "other"),
        files={"a.db": "x" * 4096, LINE: line(source="sqlite: a.db, query: select * from parts")},
        says=(f"{LINE}:2:", "not a SQLite database"),
    ),
    "source is an empty database": Case(
        words=("check", "other"),
        files={"a.db": b"", LINE: line(source="sqlite: a.db, query: select * from parts")},
        says=(f"{LINE}:2:",),
    ),
    "source query of two statements": Case(
        words=("check", "other"),
        files={"a.db": database, LINE: line(source="sqlite: a.db, query: 'select 1; select 2'")},
        says=(f"{LINE}:2:", "one statement"),
    ),
    "source query that deletes": Case(
        words=("check", "other"),
        files={"a.db": database, LINE: line(source="sqlite: a.db, query: delete from parts")},
        says=(f"{LINE}:2:",),
    ),
    "source query that attaches": Case(
        words=("check", "other"),
        files={"a.db": database, LINE: line(source="sqlite: a.db, query: attach 'x.db' as x")},
        says=(f"{LINE}:2:",),
    ),
    "source is a pipe": Case(
        words=("check", "other"),
        files={"p.csv": fifo, LINE: line(source="file: p.csv")},
        says=(f"{LINE}:2:", "not a file"),
    ),
    "source is a folder": Case(
        words=("check", "other"),
        files={"p.csv": folder, LINE: line(source="file: p.csv")},
        says=(f"{LINE}:2:", "no files"),
    ),
    "source is a loop of links": Case(
        words=("check", "other"),
        files={"p.csv": loop, LINE: line(source="file: p.csv")},
        says=(f"{LINE}:2:",),
    ),
    "source absent": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: line(source="file: god.csv")},
        says=(f"{LINE}:2:", "did you mean 'good.csv'?"),
    ),
    "source absent, run": Case(
        words=("run", "other", "--quiet"),
        files={"good.csv": GOOD, LINE: line(source="file: god.csv")},
        says=(f"{LINE}:2:", "did you mean 'good.csv'?"),
    ),
    "source absent, plan": Case(
        words=("plan", "other"),
        files={"good.csv": GOOD, LINE: line(source="file: god.csv")},
        says=(f"{LINE}:2:", "did you mean 'good.csv'?"),
    ),
    "source name of nul": Case(
        words=("check", "other"), files={LINE: line(source='file: "a\\0.csv"')}, says=(f"{LINE}:2:",)
    ),
    "key repeated in the data": Case(
        words=("check", "other"),
        code=3,
        files={"good.csv": repeated(0, "N1"), LINE: line(table="{key: part}")},
        says=("part", "59 of 60"),
    ),
    "time unparsable in the data": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: line(table="{time: colour}")},
        says=("colour",),
    ),
    "label absent from the data": Case(
        words=("check", "other"),
        files={"good.csv": GOOD, LINE: line(label="stat")},
        says=(f"{LINE}:4:", "did you mean 'state'?"),
    ),
    "contract names a column that is not there": Case(
        words=("check", "other"),
        code=3,
        files={"good.csv": GOOD, LINE: line("contract: {columns: {widht: {type: number}}}")},
        says=(f"{LINE}:5:", "did you mean 'width'?"),
    ),
    "line file is a folder": Case(words=("check", "other"), files={LINE: folder}, says=(LINE,)),
    "line file is a loop of links": Case(words=("check", "other"), files={LINE: loop}, says=(LINE,)),
    "line file is a pipe": Case(words=("check", "other"), files={LINE: fifo}, says=(LINE,)),
    "line file is empty": Case(words=("check", "other"), files={LINE: b""}, says=(f"{LINE}:1:1",)),
    "line file of nul": Case(words=("check", "other"), files={LINE: b"\0\0\0"}, says=(f"{LINE}:1:1",)),
    # Rows to be answered
    "predict: unknown column": Case(
        words=predict("a.csv"),
        files={"a.csv": table("N,1,red,2025-01-01,x", head=ASKED + ",more")},
        says=("a.csv", "'more'"),
    ),
    "predict: column absent": Case(
        words=predict("a.csv"), files={"a.csv": table("N,1", head="part,width")}, says=("a.csv", "colour")
    ),
    "predict: text for a number": Case(
        words=predict("a.csv", "--out", "out.csv", "--strict"),
        files={"a.csv": table("N,1,red,2025-01-01", "N,wide,red,2025-01-01", head=ASKED)},
        says=("line 3", "width", "'wide'"),
    ),
    "predict: 1e999": Case(
        words=predict("a.csv"),
        files={"a.csv": table("N,1e999,red,2025-01-01", head=ASKED)},
        says=("line 2", "width"),
    ),
    "predict: Infinity": Case(
        words=predict("a.csv"),
        files={"a.csv": table("N,Infinity,red,2025-01-01", head=ASKED)},
        says=("line 2", "width"),
    ),
    "predict: ragged": Case(
        words=predict("a.csv", "--out", "out.csv", "--strict"),
        files={"a.csv": table("N,1,red,2025-01-01", "N,1,red", head=ASKED)},
        says=("line 3",),
    ),
    "predict: empty": Case(words=predict("a.csv"), files={"a.csv": b""}, says=("a.csv", "empty")),
    "predict: not utf-8": Case(
        words=predict("a.csv"),
        files={"a.csv": ASKED.encode() + b"\nN,1,\xff,2025-01-01\n"},
        says=("a.csv", "line 2"),
    ),
    "predict: a pipe": Case(words=predict("a.csv"), files={"a.csv": fifo}, says=("a.csv", "not a file")),
    "predict: a folder": Case(words=predict("a.csv"), files={"a.csv": folder}, says=("a.csv", "not a file")),
    "predict: a device": Case(words=predict("/dev/zero"), says=("/dev/zero", "not a file")),
    "predict: a loop of links": Case(words=predict("a.csv"), files={"a.csv": loop}, says=("a.csv",)),
    "predict: parquet cut off": Case(
        words=predict("a.parquet"), files={"a.parquet": parquet}, says=("a.parquet",)
    ),
    "predict: over the source": Case(
        words=predict("ask.csv", "--out", "parts.csv"), says=("parts.csv", "--out")
    ),
    "predict: over the rows": Case(words=predict("ask.csv", "--out", "ask.csv"), says=("ask.csv", "--out")),
    "predict: into the state": Case(
        words=predict("ask.csv", "--out", ".linewright/a.csv"), says=(".linewright/a.csv",)
    ),
    "predict: by way of a folder": Case(
        words=predict("ask.csv", "--out", "lines/../lines/x.csv"), says=("lines/../lines/x.csv",)
    ),
    "predict: no such folder": Case(
        words=predict("ask.csv", "--out", "nowhere/a.csv"), says=("nowhere", "no such folder")
    ),
    "predict: another ending": Case(
        words=predict("ask.csv", "--out", "a.xlsx"), says=("a.xlsx", ".csv or .parquet")
    ),
    "predict: out is a folder": Case(
        words=predict("ask.csv", "--out", "a.csv"), files={"a.csv": folder}, says=("a.csv",)
    ),
    "predict: out is a loop of links": Case(
        words=predict("ask.csv", "--out", "a.csv"), files={"a.csv": loop}, says=("a.csv",)
    ),
    "predict: out name too long": Case(
        words=predict("ask.csv", "--out", "a" * 300 + ".csv"), says=("'out'", "too long")
    ),
    "predict: no such line": Case(
        words=("predict", "prats", "ask.csv"), says=("prats", "did you mean 'parts'?")
    ),
    "predict: a model for a line": Case(words=("predict", "parts@99", "ask.csv"), says=("parts@99", "line")),
    "predict: line beyond the grammar": Case(words=("predict", "../parts", "ask.csv"), says=("../parts",)),
    # Labels that came in
    "feedback: no label": Case(
        words=("feedback", "parts", "t.csv"),
        files={"t.csv": "key\nP0001\n"},
        says=("t.csv", "'label' or 'state'"),
    ),
    "feedback: no key": Case(
        words=("feedback", "parts", "t.csv"), files={"t.csv": "label\nbad\n"}, says=("t.csv", "'id'")
    ),
    "feedback: no such class": Case(
        words=("feedback", "parts", "t.csv"),
        files={"t.csv": "key,label\nP0001,bad\nP0002,Bad\n"},
        says=("t.csv: line 3", "'Bad'", "nothing of this file is kept"),
    ),
    "feedback: against what is kept": Case(
        words=("feedback", "parts", "t.csv"),
        files={"t.csv": "key,label\nP0001,bad\nP0000,good\n"},
        says=("t.csv: line 3", "P0000"),
    ),
    "feedback: against itself": Case(
        words=("feedback", "parts", "t.csv"),
        files={"t.csv": "key,label\nP0001,bad\nP0001,good\n"},
        says=("t.csv: line 3",),
    ),
    "feedback: no such time": Case(
        words=("feedback", "parts", "t.csv"),
        files={"t.csv": "key,label,at\nP0001,bad,yesterday\n"},
        says=("t.csv: line 2", "'yesterday'"),
    ),
    "feedback: key missing": Case(
        words=("feedback", "parts", "t.csv"),
        files={"t.csv": "key,label\nP0001,bad\n,bad\n"},
        says=("t.csv: line 3",),
    ),
    "feedback: ragged": Case(
        words=("feedback", "parts", "t.csv"),
        files={"t.csv": "key,label\nP0001,bad\nP0002\n"},
        says=("t.csv: line 3",),
    ),
    "feedback: empty": Case(
        words=("feedback", "parts", "t.csv"), files={"t.csv": b""}, says=("t.csv", "empty")
    ),
    "feedback: a pipe": Case(
        words=("feedback", "parts", "t.csv"), files={"t.csv": fifo}, says=("t.csv", "not a file")
    ),
    "feedback: no such line": Case(
        words=("feedback", "prats", "truth.csv"), says=("prats", "did you mean 'parts'?")
    ),
    # Command lines
    "no such command": Case(words=("rnu",), says=("'rnu'", "did you mean `linewright run`?")),
    "no such option": Case(words=("run", "parts", "--fats"), says=("--fats",)),
    "an option without its value": Case(words=("new", "other", "--data"), says=("--data",)),
    "label left out": Case(words=("new", "other", "--data", "parts.csv"), says=("label",)),
    "a word too many": Case(words=("rollback", "parts", "now"), says=("now",)),
    "not text": Case(words=("check", "\udcff"), says=("\\udcff",)),
    "factory is a file": Case(words=("--factory", "parts.csv", "status"), says=("parts.csv",)),
    "factory is a device": Case(words=("--factory", "/dev/null", "status"), says=("/dev/null",)),
    "factory is not there": Case(words=("--factory", "nowhere", "status"), says=("nowhere",)),
    "init in a file": Case(words=("init", "parts.csv"), says=("parts.csv",)),
    "factory file broken": Case(
        words=("status",), files={"factory.yaml": "format: [1\n"}, says=("factory.yaml:1:",)
    ),
    "factory of tomorrow": Case(
        words=("status",), files={"factory.yaml": "format: 2\n"}, says=("factory.yaml:1:9",)
    ),
    "run: no such line": Case(words=("run", "prats", "--quiet"), says=("prats", "did you mean 'parts'?")),
    "run: no such plan": Case(words=("run", "parts", "--plan", "../x", "--quiet"), says=("../x",)),
    "promote: no such model": Case(words=("promote", "parts@99"), says=("parts@99", "parts@1")),
    "promote: not a model": Case(words=("promote", "parts@1e999"), says=("parts@1e999", "LINE@VERSION")),
    "promote: a version of many digits": Case(
        words=("promote", "parts@" + "9" * 5000), says=("LINE@VERSION",)
    ),
    "rollback: nothing before": Case(words=("rollback", "parts"), says=("parts",)),
    "halt: no such line": Case(words=("halt", "prats"), says=("prats", "did you mean 'parts'?")),
    "show: nothing of that id": Case(words=("show", "../../etc/passwd"), says=("../../etc/passwd",)),
    "show: half a digest": Case(words=("show", "sha256:zz"), says=("sha256:zz",)),
    "replay: nothing of that id": Case(words=("replay", "--prediction", "' OR 1"), says=("' OR 1",)),
    "why: nothing of that id": Case(words=("why", "sha256:" + "0" * 64), says=("000000000000",)),
    "rebuild: no such model": Case(words=("rebuild", "parts@2"), says=("parts@2", "parts@1")),
    "rebuild: more workers than there may be": Case(
        words=("rebuild", "parts@1", "--workers", "64"), says=("workers", "64")
    ),
    "rebuild: memory that is no size": Case(
        words=("rebuild", "parts@1", "--max-memory", "lots"), says=("not a size", "lots")
    ),
    "rebuild: less time than none": Case(words=("rebuild", "parts@1", "--max-seconds", "-1"), says=("-1",)),
    "card: no such model": Case(words=("card", "parts@2"), says=("parts@2",)),
    "datasets: no such version": Case(
        words=("datasets", "parts", "--diff", "1", "9"), says=("no dataset has that id: found '1'",)
    ),
    "models: beyond the grammar": Case(words=("models", "../../x"), says=("../../x",)),
    "schema: no such section": Case(words=("schema", "gate"), says=("did you mean 'gates'?",)),
    "up: a port beyond ports": Case(words=("up", "--port", "99999"), says=("99999", "port")),
    "up: a port of words": Case(words=("up", "--port", "http"), says=("http", "port")),
    "up: another machine": Case(words=("up", "--host", "0.0.0.0"), says=("0.0.0.0",)),
    "up: memory of words": Case(words=("up", "--model-memory", "3 lots"), says=("3 lots", "512MiB or 2GiB")),
    "up: a file that says memory of words": Case(
        words=("up",),
        files={"factory.yaml": "format: 1\nmodel_memory: much\n"},
        says=("factory.yaml:2:15", "much"),
    ),
    "serve: a file that says memory for nothing": Case(
        words=("serve",),
        files={"factory.yaml": "format: 1\nmodel_memory: 1KiB\n"},
        says=("factory.yaml: model_memory", "too small"),
    ),
    "serve: memory for nothing": Case(words=("serve", "--model-memory", "1KiB"), says=("1KiB", "too small")),
    "serve: a port of thousands of digits": Case(words=("serve", "--port", "9" * 5000), says=("port",)),
}


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Give a function that carries out a command line as a person types it: its exit code, output and message."""

    def carry_out(*words: str) -> tuple[int, str, str]:
        if words[0] in OF_THEIR_OWN:
            python = commands.python() if words[0] == "run" else [sys.executable]
            ended = subprocess.run(
                [*python, "-m", "linewright", *words],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
            return ended.returncode, ended.stdout, ended.stderr
        monkeypatch.setattr(sys, "argv", ["linewright", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return carry_out


def write(root: Path, files: Mapping[str, Content]) -> None:
    for name, content in files.items():
        path = root / name
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_answered_with_its_place_and_leaves_nothing_behind(name, trained, factory, kept, said):
    """Whoever mistyped must find the mistake, and find all else as it was."""
    case = CASES[name]
    write(factory, case.files)
    before = kept(factory)

    code, out, told = said(*case.words)

    message = told or out
    assert case.code == code, message
    assert [] == [part for part in case.says if part not in message], message
    assert "Traceback" not in message
    assert told.startswith("error: ") if told else case.words[0] == "check", message
    assert before == kept(factory)

    shutil.copy(trained / "factory.yaml", factory)
    after = said("predict", "parts", "ask.csv", "--out", "after.csv")
    assert 0 == after[0], after
    answers = [pl.read_csv(path).drop("id") for path in ("after.csv", "answers.csv")]
    assert answers[0].equals(answers[1])
