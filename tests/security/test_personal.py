"""Personal values are seen by who has the right, and by nobody else: no answer, page, card, log or file of another reader has one."""

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from approvals import by
from console_pages import PAGES
from shown_pages import pages_of
from templates import copied, made_once
from watched_days import watch_days

from linewright.capabilities.annotation.operations import annotate_next, annotate_queue
from linewright.capabilities.lines.proposed_text import read_proposed
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.notifications.destinations import destinations
from linewright.capabilities.proposals.line_file import propose_file
from linewright.capabilities.value.update import keep_account
from linewright.errors import ContractBreach, Denied, LinewrightError, SpecError
from linewright.interfaces.cli.show import render
from linewright.interfaces.console import routes as console
from linewright.interfaces.console.table import routes
from linewright.line.factory import Factory
from linewright.line.facts import Accepted
from linewright.line.file.edit import without_values
from linewright.line.file.read import parse_line
from linewright.line.personal import MASK, HiddenColumns, file_without_personal, without_personal
from linewright.line.predict.batch import predict_file
from linewright.line.predict.example_request import curl
from linewright.line.predict.label_file import hand_in
from linewright.line.runs.execute import execute_inline
from linewright.operations.declare import load, to_json
from linewright.operations.table import OPERATIONS
from linewright.serve.access.rights import PERMISSIONS, ROLES, TOKEN_KINDS, Identity, Scope

pytestmark = pytest.mark.usefixtures("processes")
LINE = "claims"
PLANTED = "planted"
"""Begins each personal text."""
INCOME = "7130"
"""Begins each personal number."""
CITIES = tuple(f"{PLANTED}-city-{name}" for name in "abcd")
HEAD = "email,city,income,amount,fraud"
PERSONAL = ("email", "city", "income")
FILE = """\
line: claims
sources: {claims: {file: claims.csv}}
table: {key: email}
label: {column: fraud, positive: "yes"}
contract:
  columns:
    email: {type: category}
    city: {type: category, allowed: [planted-city-a, planted-city-b, planted-city-c, planted-city-d], on_breach: quarantine}
    income: {type: number, max: 7139999, on_breach: quarantine}
    amount: {type: number}
    fraud: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: {trials: 1}, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.5}
watch: {every: 1d}
value: {currency: EUR, true_positive: 9, false_positive: -4, false_negative: -9}
"""


def _rows(n: int) -> list[str]:
    chance = random.Random(7)
    rows: list[str] = []
    for number in range(n):
        amount, city = chance.gauss(0, 1), chance.choice(CITIES)
        income = 7_130_000 + number
        truth = amount + (city == CITIES[0]) + chance.gauss(0, 0.7) > 0.3
        rows.append(f"{PLANTED}.{number:03}@b.c,{city},{income}.5,{amount:.4f},{'yes' if truth else 'no'}")
    return rows


def _write(root: Path, n: int) -> None:
    kept_out = [
        f"{PLANTED}.out@b.c,{PLANTED}-city-x,{INCOME}111.5,0.1,no",
        f"{PLANTED}.far@b.c,{CITIES[1]},71399990.5,0.1,no",
        f"{PLANTED}.cut@b.c,{PLANTED}-city-y,{INCOME}333.5,0.1,no,more",
    ]
    (root / "claims.csv").write_text("\n".join([HEAD, *_rows(n), *kept_out]) + "\n")


def _make(root: Path) -> None:
    (root / "lines").mkdir(parents=True)
    (root / "lines" / "claims.yaml").write_text(FILE)
    _write(root, 200)
    with Factory.create(root) as factory:
        first = execute_inline(factory, LINE)
        _write(root, 240)
        asked = [row.rpartition(",")[0] for row in _rows(60)]
        (root / "ask.csv").write_text("\n".join([HEAD.rpartition(",")[0], *asked]) + "\n")
        predict_file(factory, LINE, root / "ask.csv", root / "answers.csv")
        truth = [f"{row.split(',')[0]},{row.rpartition(',')[2]}" for row in _rows(40)]
        (root / "truth.csv").write_text("\n".join(["key,label", *truth]) + "\n")
        hand_in(factory, LINE, root / "truth.csv")
        alerts = watch_days(factory, number="income", category="city", values=CITIES, because="enough")
        run = execute_inline(factory, LINE)
        (root / "lines" / "claims.yaml").write_text(FILE.replace("on_breach: quarantine", "on_breach: stop"))
        with suppress(ContractBreach):
            execute_inline(factory, LINE)
        failed = factory.metadata.events(Accepted, line=LINE, newest_first=True, limit=1)[0].run
        (root / "lines" / "claims.yaml").write_text(FILE)
        keep_account(factory, factory.line(LINE))
        annotate_queue(factory, LINE, size=10, annotators=2)
        member_add(factory, "ann", role="annotator")
        with by(factory, "ann") as member:
            question = annotate_next(member, LINE).question
        (root / "ids.json").write_bytes(
            msgspec.json.encode(
                {
                    "line": LINE,
                    "version": "2",
                    "run": run.run,
                    "failed": failed,
                    "digest": run.dataset,
                    "before": first.dataset,
                    "split": run.split,
                    "alert": alerts["drift"],
                    "question": question.id if question else "",
                    "prediction": next(iter(factory.labels_of(LINE).latest(1)))[0].id,
                }
            )
        )


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Give a factory that has done all that a line does, and whose columns were declared personal when it was done."""
    root = copied(made_once(tmp_path_factory, "personal", _make), tmp_path / "factory")
    declare(root)
    return root


def declare(root: Path) -> None:
    text = FILE
    for name in PERSONAL:
        text = text.replace(f"    {name}: {{", f"    {name}: {{personal: true, ")
    (root / "lines" / "claims.yaml").write_text(text)


def reader(root: Path, *, sees: bool = False, role: str = "") -> Factory:
    """Open the factory as somebody who may do everything, or what a role may; with personal values or without."""
    may = ROLES[role] if role else PERMISSIONS
    may = may if sees else may - {"view-personal"}
    return Factory.open(root, identity=Identity(actor="ada", member="ann", scopes=(Scope(permissions=may),)))


def ids_of(root: Path) -> dict[str, str]:
    return msgspec.json.decode((root / "ids.json").read_bytes())


def asked(factory: Factory, ids: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each operation that reads, with arguments with which it shows as much as it can."""
    line, two = {"line": LINE}, {"diff": [ids["before"], ids["digest"]]}
    yield from (
        ("datasets", {**line, "quarantine": True}),
        ("datasets", {**line, **two}),
        ("rows", {**line, "split": ids["split"], "limit": 1000}),
        ("profile", line),
        ("dataset", line),
        ("predictions", {**line, "limit": 1000}),
        ("replay", {"prediction": ids["prediction"], "explain": True}),
        ("request-form", line),
        ("try", {**line, "row": '{"email": "me", "city": "here", "income": 1, "amount": 0.1}'}),
        ("annotate next", line),
        ("annotate status", line),
        ("annotate export", line),
        ("alerts", {"over": True}),
        ("alert", {"id": ids["alert"]}),
        ("worst-slice", {"id": ids["alert"]}),
        ("monitors", line),
        ("run-steps", {"run": ids["run"]}),
        ("run-log", {"run": ids["run"]}),
        ("run-steps", {"run": ids["failed"]}),
        ("run-log", {"run": ids["failed"]}),
        ("check", {"lines": [LINE]}),
        ("plan", {"lines": [LINE]}),
        ("what-if", line),
        ("audit find", {}),
        ("audit entries", {}),
        ("status", line),
        ("sources", {}),
        ("features", {}),
        ("runs", {}),
        ("history", line),
        ("models", line),
        ("inbox", {}),
        ("card", {"model": LINE}),
        ("card", {"model": f"{LINE}@2", "html": True}),
        ("why", {"evidence": f"{LINE}@2"}),
    )
    for one in (ids["prediction"], ids["run"], ids["failed"], ids["alert"], f"{LINE}@2"):
        yield "show", {"id": one}
    for digest in _results(factory):
        yield "show", {"id": digest}


def _results(factory: Factory) -> list[str]:
    found = [
        digest for prefix in "0123456789abcdef" for digest, _ in factory.metadata.find(f"sha256:{prefix}")
    ]
    assert 40 < len(found)
    return found


def told(factory: Factory, name: str, arguments: dict[str, Any]) -> str:
    """Return what an operation says, as JSON and as a command prints it."""
    operation = load(name, OPERATIONS)
    try:
        result = operation.call(factory, arguments)
    except LinewrightError as error:
        return to_json(error.to_json()).decode()
    return to_json(result).decode() + render(result)


def _leaks(text: str) -> list[str]:
    found = [text.find(one) for one in (PLANTED, INCOME)]
    return [text[max(0, at - 80) : at + 60] for at in found if at >= 0]


def test_no_operation_tells_a_personal_value_to_who_has_no_right_to_it(made):
    """A new operation that shows values is found here: it is read with all other rights."""
    ids, leaks = ids_of(made), dict[str, list[str]]()
    with reader(made) as factory:
        for name, arguments in asked(factory, ids):
            if found := _leaks(told(factory, name, arguments)):
                leaks[f"{name} {arguments}"] = found

    assert {} == leaks


def test_who_has_the_right_sees_the_values(made):
    """Else the test above would pass on an empty factory."""
    ids = ids_of(made)
    with reader(made, sees=True) as factory:
        seen = {name for name, arguments in asked(factory, ids) if _leaks(told(factory, name, arguments))}

    assert {
        "datasets",
        "rows",
        "profile",
        "predictions",
        "show",
        "replay",
        "request-form",
        "try",
        "alert",
        "annotate next",
        "annotate export",
        "card",
    } <= seen


def _page_ids(ids: Mapping[str, str]) -> dict[str, str]:
    return {**ids, "id": ids["prediction"], "number": "1", "proposal": "none"}


@pytest.mark.parametrize("role", ["annotator", "analyst", "admin"])
def test_no_page_shows_a_personal_value_to_a_role_that_has_no_right_to_it(role, made):
    """All pages, and what they load: an engineer sees the values on the same ones."""
    get, ids = pages_of(made), _page_ids(ids_of(made))
    special = {
        "difference": "/lines/{line}/datasets/diff?before={before}&after={digest}",
        "alert": "/alerts/{alert}",
        "worst-slice": "/alerts/{alert}/slice",
        "run": "/runs/{failed}",
    }
    paths = {name: special.get(name, page.path).format_map(ids) for name, page in PAGES.items()}
    shown = {
        name: get(path, role=role, member="ann" if role == "annotator" else "")
        for name, path in paths.items()
    }

    assert {} == {name: found for name, page in shown.items() if (found := _leaks(page.html))}
    assert "200" in {str(page.status) for page in shown.values()}


def test_what_a_watched_page_sends_shows_no_personal_value_to_who_has_no_right_to_it(made, monkeypatch):
    """A page that changes is sent whole to the browser that keeps it open."""
    monkeypatch.setattr(console, "_WATCHED_S", 0.1)
    get, ids = pages_of(made), _page_ids(ids_of(made))
    paths = [
        route.entry.path.format_map(ids) + "?have=0000000000000000"
        for route in routes()
        if route.page.is_live
    ]
    stream = {"Accept": "text/event-stream"}
    sent = {
        role: {path: get(path, role=role, headers=stream).html for path in paths}
        for role in ("analyst", "admin", "engineer")
    }
    leaks = {role: [path for path in paths if _leaks(pages[path])] for role, pages in sent.items()}

    assert {"analyst": [], "admin": []} == {role: leaks[role] for role in ("analyst", "admin")}
    assert leaks["engineer"]
    assert all("event: page" in sent["analyst"][path] for path in leaks["engineer"])


def test_which_columns_are_personal_changes_no_step(made):
    """Masking is a matter of who reads: the model, the rows and what a rebuild needs stay."""
    with Factory.open(made) as factory:
        before = len(factory.metadata.versions(LINE))
        _write(made, 240)
        ran = execute_inline(factory, LINE)

        assert before == len(factory.metadata.versions(LINE))
        assert () == ran.did


def test_an_error_of_a_personal_column_quotes_no_value(made):
    """It goes to a terminal, to the log of a server and into the record, whoever may read those."""
    file = made / "lines" / "claims.yaml"
    file.write_text(file.read_text().replace("on_breach: quarantine", "on_breach: stop"))
    with Factory.open(made) as factory:
        with pytest.raises(ContractBreach, match="first with '•••' at line 242") as stopped:
            execute_inline(factory, LINE)

        assert [] == _leaks(str(stopped.value.to_json()))


def test_values_cannot_be_found_by_guessing_them(made):
    """Whether any row has a value tells as much as the value."""
    with reader(made) as factory, pytest.raises(Denied, match="view-personal"):
        load("rows", OPERATIONS).call(factory, {"line": LINE, "where": f"city={CITIES[0]}"})


def test_rows_of_the_past_are_not_written_for_who_may_not_see_personal_columns(made, tmp_path):
    """A source may have them under other names than the table."""
    with reader(made) as factory, pytest.raises(Denied, match="view-personal"):
        load("datasets", OPERATIONS).call(
            factory, {"line": LINE, "as_of": "2026-01-01", "out": tmp_path / "then.csv"}
        )


def test_of_a_wrong_file_that_declares_personal_columns_no_value_is_shown(made):
    """A mistake in the file must not show what the file hides."""
    file = made / "lines" / "claims.yaml"
    file.write_text(file.read_text().replace("label:", "lable:"))
    with reader(made) as factory:
        for name, arguments in (("rows", {}), ("predictions", {}), ("datasets", {"quarantine": True})):
            assert [] == _leaks(told(factory, name, {"line": LINE, **arguments}))


def test_the_label_is_not_personal():
    """Each answer says what it may be."""
    with pytest.raises(SpecError, match="the label cannot be personal"):
        parse_line(FILE.replace("fraud: {", "fraud: {personal: true, "), name="claims.yaml")


def test_no_request_with_masks_is_printed_to_be_pasted(made):
    """Its row would be refused: a mask is no value of the column. The form has values for who may see them."""
    url = "http://127.0.0.1:1"
    with reader(made, sees=True) as factory:
        assert "linewright request-form claims" == curl(factory, LINE, url)
    (made / "lines" / "claims.yaml").write_text(FILE)
    with reader(made) as factory:
        assert str(curl(factory, LINE, url)).startswith("curl -s ")


def test_only_engineers_have_the_right():
    """It is given on purpose, and no narrow token has it."""
    assert ["engineer"] == [role for role, may in ROLES.items() if "view-personal" in may]
    assert not [kind for kind, may in TOKEN_KINDS.items() if "view-personal" in may]


def test_nobody_is_notified_of_a_personal_value(made):
    """Receivers of events are outside of the factory: what they may see is not known, not even of the errors of old runs."""
    lineage = '{openlineage: "file:lineage.jsonl"}'
    (made / "factory.yaml").write_text(
        f"format: 1\nlineage: {lineage}\nnotify: {{ops: {{webhook: 'https://x.example/y'}}}}\n"
    )
    with Factory.open(made) as factory:
        declared = destinations(factory)
        told = [message for one in declared for message in one.messages(factory, after=0)]

    assert ["lineage/openlineage", "ops"] == [one.name for one in declared]
    assert {"finished", "alerted", "accepted"} <= {one.kind for one in told}
    assert [] == _leaks(to_json(told).decode())


def test_a_sensor_of_a_personal_group_is_not_named_in_its_alert():
    """The sentence of an alert quotes the group."""
    columns = HiddenColumns(frozenset({"person"}), frozenset({"group"}))
    event = {
        "kind": "alerted",
        "monitor": "sensor",
        "column": "pulse",
        "group": "ann-7",
        "because": "sensor 'pulse' of 'ann-7' is stuck",
    }

    assert "sensor 'pulse' of ••• is stuck" == without_personal(event, columns)["because"]
    assert MASK == without_personal(event, columns)["group"]


def test_the_record_is_exported_to_nobody_who_may_not_see_all_of_it(made, tmp_path):
    """Masked entries cannot be verified, and unmasked ones in a file show what the screen hides."""
    file = tmp_path / "entries.jsonl"
    with reader(made) as factory:
        for out in (None, file):
            with pytest.raises(Denied, match="view-personal"):
                list(load("audit export", OPERATIONS).call(factory, {"out": out}))
    assert not file.exists()

    with reader(made, sees=True) as factory:
        list(load("audit export", OPERATIONS).call(factory, {"out": file}))
    assert _leaks(file.read_text())


def test_masked_entries_of_the_record_have_no_digest_with_which_a_value_could_be_guessed(made):
    """Each digest is one of the values too: who knows the rest of an entry can try them all."""
    for sees in (False, True):
        with reader(made, sees=sees) as factory:
            page = load("audit entries", OPERATIONS).call(factory, {"limit": 1000}).entries
            found = load("audit find", OPERATIONS).call(factory, {"limit": 1000}).found
        digests = {one for entry in (*page, *found) for one in (entry.hash, entry.previous)}

        assert sees == (digests != {MASK})


def _declared(factory: Factory) -> set[str]:
    return {one.declared for one in factory.metadata.events(Accepted, line=LINE)}


def test_a_line_file_with_masks_is_not_proposed(made):
    """Who sees masks and changes another place would make them the values that a category may have."""
    with reader(made) as factory:
        seen = file_without_personal(factory, LINE, (made / "lines" / "claims.yaml").read_text())
        assert f'allowed: ["{MASK}"]' in seen
        with pytest.raises(SpecError, match="hidden"):
            read_proposed(factory, LINE, seen)


@pytest.mark.parametrize(
    "allowed",
    ["[a, b]", "\n        - a\n        - b", "['it''s a', \"]\", b]", "[it's, # a\n  b]", "[\na, b]"],
    ids=["in brackets", "below", "in quotes", "with a comment", "far left"],
)
def test_what_a_hidden_category_may_have_is_not_in_the_text(allowed):
    """However it is written; what others may have is left."""
    text = "columns:\n    n: {allowed: [c]}\n    pay:\n      type: category\n      allowed: HERE\n    m: 1\n"

    assert without_values(text.replace("HERE", allowed), {"pay"}) == text.replace("HERE", f'["{MASK}"]')


def test_comments_beside_personal_columns_are_shown_to_nobody_who_may_not_see_them(made):
    """`linewright new` writes values and ranges there; the file, what is proposed for it, and pages of both show it."""
    path = made / "lines" / "claims.yaml"
    lines = [
        f"{line}  # 200 values such as '{PLANTED}.001@b.c'" if "email: {" in line
        else f"{line}  # {INCOME}000.5 to {INCOME}199.5" if "income: {" in line
        else f"{line}  # -3 to 3" if "amount: {" in line
        else line
        for line in path.read_text().splitlines()
    ]  # fmt: skip
    lines.append(f"# 'city' may be {CITIES[0]}")
    path.write_text("\n".join(lines) + "\n")
    other = (
        path.read_text().replace("every: 1d", "every: 2d").replace(f"{INCOME}000.5 to", f"{INCOME}000.7 to")
    )
    told_of = dict[bool, str]()
    with reader(made, sees=True) as factory:
        spec = read_proposed(factory, LINE, other)
        look = propose_file(factory, spec, other, because="less often")
    for sees in (False, True):
        with reader(made, sees=sees) as factory:
            told_of[sees] = "".join(
                told(factory, name, arguments)
                for name, arguments in (
                    ("line-file", {"line": LINE}),
                    ("check-text", {"line": LINE}),
                    ("check-text", {"line": LINE, "file": other}),
                    ("proposals", {}),
                    ("proposal", {"proposal": look.proposed.id}),
                    ("show", {"id": look.proposed.change}),
                    *(("show", {"id": one}) for one in _declared(factory)),
                )
            )

    assert [] == _leaks(told_of[False])
    assert "# -3 to 3" in told_of[False]
    assert all(one in told_of[True] for one in (f"{PLANTED}.001@b.c", f"{INCOME}000.7", CITIES[0]))
    get = pages_of(made)
    for page in (f"/lines/{LINE}/file", f"/proposals/{look.proposed.id}"):
        assert [] == _leaks(get(page, role="analyst").html)
