"""A factory whose names are hostile, and pages as a browser reads them, made in this process."""

import asyncio
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from templates import copied, made_once

from linewright.interfaces.http.app import ControlApp, control_app
from linewright.interfaces.http.expensive import Expensive
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.runs.execute import execute
from linewright.operations.declare import Operation, to_json
from linewright.operations.table import OPERATIONS
from linewright.serve.access.accounts import Grant
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change, new_token, with_token
from linewright.serve.access.rights import Identity

LINE = "claims"
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{31337*7}}", "=1+1")
COLUMN = "<script>alert(2)</script>"
_FILE = """\
line: claims
about: '<script>alert(3)</script> {{31337*7}}'
sources: {claims: {file: claims.csv}}
table: {key: claim}
label: {column: fraud, positive: "yes"}
contract:
  columns:
    claim: {type: category}
    amount: {type: number, max: 3, on_breach: quarantine}
    '<script>alert(2)</script>': {type: category}
    fraud: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: quick, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.5}
value: {currency: EUR, true_positive: 9, false_positive: -4, false_negative: -9}
"""


class Tags(HTMLParser):
    """What of a page a browser would carry out, and what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.events: list[str] = []
        self.links: list[str] = []
        self.forms: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.events += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "a":
            self.links.append(given.get("href") or "")
        if tag == "form":
            self.forms.append(given.get("action") or "")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


class Shown:
    """An answer, read as a browser reads it."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status, self.html = answer.status_code, answer.text
        self.location = answer.headers.get("location", "")
        read = Tags()
        read.feed(answer.text)
        self.tags, self.text, self.links, self.forms = read.tags, read.text, read.links, read.forms
        self.events = read.events

    def assert_harmless(self) -> None:
        """Nothing that somebody wrote is carried out, and nothing that a template would compute."""
        assert self.tags.count("script") <= 1  # ours, by its address
        assert "img" not in self.tags
        assert [] == self.events
        assert "219359" not in self.text.replace(",", "")  # 31337 * 7


class Here(Expensive):
    """Carries out what is expensive in this process."""

    async def carry_out(
        self, operation: Operation, arguments: Any, *, identity: Identity, text: bool = False, **_: Any
    ) -> bytes:
        with Factory.open(self.root_of, identity=identity) as factory:
            return to_json(operation.call(factory, arguments, text=text))

    root_of: Path


Get = Callable[..., Shown]


def app_of(root: Path) -> ControlApp:
    """Return the control plane of a factory, which does in this process what else takes a process of its own."""
    expensive = Here(root, report=lambda _: None)
    expensive.root_of = root
    return control_app(
        lambda identity: Factory.open(root, identity=identity),
        OPERATIONS,
        authenticator=Authenticator(state=root / ".linewright"),
        root=root,
        expensive=expensive,
    )


def pages_of(root: Path) -> Get:
    """Return a function that shows a page to somebody with a role, on all lines or on some; with `form` it sends one.

    With `member` it is by a token of that member, who may not do more than their own roles permit.
    """
    app = app_of(root)
    tokens: dict[tuple[str, tuple[str, ...], str], str] = {}

    def token_of(role: str, lines: tuple[str, ...], member: str) -> str:
        if (role, lines, member) not in tokens:
            one = new_token(
                name=f"{member or 'nobody'}-{role}-{'-'.join(lines) or 'all'}",
                grant=Grant(role=role, lines=lines),
                member=member,
                created="2026-01-01T00:00:00.000000Z",
                expires="2999-01-01T00:00:00.000000Z",
            )
            change(root / ".linewright", with_token(one))
            tokens[role, lines, member] = one.token
        return tokens[role, lines, member]

    def get(
        path: str,
        *,
        role: str = "engineer",
        lines: tuple[str, ...] = (),
        member: str = "",
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Shown:
        sent = {
            "Authorization": f"Bearer {token_of(role, lines, member)}",
            "Accept": "text/html",
            **(headers or {}),
        }

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                if form is None:
                    return await client.get(path, headers=sent)
                return await client.post(path, headers=sent, data=dict(form))

        # In a thread of its own: a browser that other tests of this process use keeps a loop at work in this one.
        with ThreadPoolExecutor(1) as thread:
            return Shown(thread.submit(lambda: asyncio.run(ask())).result())

    return get


def _make(root: Path) -> None:
    (root / "lines").mkdir(parents=True)
    (root / "lines" / f"{LINE}.yaml").write_text(_FILE)
    chance = random.Random(7)
    rows = [
        (f"C{number:03}{HOSTILE[number % 4]}", chance.gauss(0, 1), chance.choice(HOSTILE))
        for number in range(240)
    ]
    cells = ['"' + '","'.join(str(each).replace('"', '""') for each in row) + '"' for row in rows]
    truth = ["yes" if amount + chance.gauss(0, 0.7) > 0.3 else "no" for _, amount, _ in rows]
    table = [f"{line},{label}" for line, label in zip(cells, truth, strict=True)]
    kept_out = '"C999<script>alert(1)</script>","7","=1+1",no'
    head = f"claim,amount,{COLUMN}"
    (root / "claims.csv").write_text("\n".join([f"{head},fraud", *table, kept_out]) + "\n")
    (root / "ask.csv").write_text("\n".join([head, *cells[:20]]) + "\n")
    known = ["{},{}".format(cells[number].split('","')[0] + '"', truth[number]) for number in range(10)]
    (root / "truth.csv").write_text("\n".join(["key,label", *known]) + "\n")
    with Factory.create(root) as factory:
        execute(factory, LINE)
        predict_file(factory, LINE, root / "ask.csv", root / "answers.csv")
        hand_in(factory, LINE, root / "truth.csv")
    (root / "lines" / "other.yaml").write_text(_FILE.replace("line: claims", "line: other"))


def hostile_factory(folders: pytest.TempPathFactory, root: Path) -> Path:
    """Make a factory whose line ``claims`` has served, with hostile names wherever people give names."""
    return copied(made_once(folders, "console-hostile", _make), root)
