"""A factory in which every name and text that a person gives would do harm if a page, a spreadsheet or a template carried it out."""

import csv
import random
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from approvals import by
from templates import copied, made_once
from watched_days import watch_days

from linewright.capabilities.annotation.operations import annotate_answer, annotate_next, annotate_queue
from linewright.capabilities.audit.operations import audit_find
from linewright.capabilities.evidence.operations import show
from linewright.capabilities.inbox.operations import comment
from linewright.capabilities.members.operations.members import member_add, member_role
from linewright.capabilities.members.operations.tokens import token_create
from linewright.capabilities.overview.operations.history import predictions
from linewright.capabilities.proposals.operations import propose
from linewright.capabilities.releases.halt import halt
from linewright.capabilities.value.update import keep_account
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.runs.execute import execute_inline

LINE = "claims"
SCRIPT = "<script>window.__hit=1</script>"
IMAGE = '"><img src=x onerror=window.__hit=1>'
TITLE = "</title><script>window.__hit=1</script>"
AREA = "</textarea><script>window.__hit=1</script>"
TEMPLATE = "{{31337*7}}"
DOLLAR = "${31337*7}"
PRODUCT = "219359"
"""What a template that carries these out would write."""
FORMULA = "=1+1"
ADDRESS = "javascript:window.__hit=1"
BACKWARDS = "gnp.1\u202e"
"""Turns round what follows it."""
PAYLOADS = (SCRIPT, IMAGE, TITLE, AREA, TEMPLATE, DOLLAR, FORMULA, ADDRESS, BACKWARDS)
EVERYTHING = " ".join((FORMULA, *PAYLOADS))
"""One text with all of them."""

KEY, AMOUNT, AGE, KIND, LABEL = (
    f"key {IMAGE}",
    f"{FORMULA} {SCRIPT}",
    f"@{TEMPLATE} {BACKWARDS}",
    f"{TITLE} {DOLLAR}",
    f"-{AREA}",
)
"""Columns: the key, two numbers, a category, the label."""
COLUMNS = (KEY, AMOUNT, AGE, KIND, LABEL)
KINDS = (SCRIPT, IMAGE, f"+{TEMPLATE}", ADDRESS)
"""Values of the category."""
POSITIVE, NEGATIVE = f"{FORMULA} {SCRIPT}", f"@{IMAGE}"
"""Classes."""
FILE = f"{TEMPLATE.replace('*', '+')} {IMAGE}.csv"
"""Name of the file with the data: a star would be a pattern, and a slash a folder."""
FOLDER = f"{FORMULA} {IMAGE}"
GOAL = f"{FORMULA} {SCRIPT} {TEMPLATE} {IMAGE}"
TAG = f"{SCRIPT}{DOLLAR}"
MEMBER, VISITOR, TOKEN = "0.@javascript+-1", "0@visitor.+-1", "0@javascript+-1.token"
"""The worst names that members and tokens may have."""
ROWS = 240


def hostile_factory(folders: pytest.TempPathFactory, root: Path) -> tuple[Path, Mapping[str, str]]:
    """Make a factory whose names are hostile, a copy of one that the session makes once; return it and the values of addresses in it.

    Its line ``claims`` has a champion, a candidate on trial, two dataset versions, answers and labels, alerts, an account, questions to
    label, a change that waits, comments, members and tokens.
    """
    made = copied(made_once(folders, "hostile", _make), root)
    return made, msgspec.json.decode((made / "values.json").read_bytes())


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()  # a text of JSON is one of YAML


def _line_file() -> str:
    q = _quoted
    return f"""\
# {EVERYTHING}
line: {LINE}
about: {q(EVERYTHING)}
goal: {q(GOAL)}
owner: {q(IMAGE)}
tags: [{q(TAG)}, {q(FORMULA)}]
sources: {{claims: {{file: {q(FILE)}}}}}
table: {{key: {q(KEY)}}}
label: {{column: {q(LABEL)}, positive: {q(POSITIVE)}}}
contract:
  columns:
    {q(KEY)}: {{type: category}}
    {q(AMOUNT)}: {{type: number, max: 3, on_breach: quarantine}}  # {EVERYTHING}
    {q(AGE)}: {{type: number}}
    {q(KIND)}: {{type: category, allowed: [{", ".join(map(q, KINDS))}]}}
    {q(LABEL)}: {{type: category, allowed: [{q(NEGATIVE)}, {q(POSITIVE)}]}}
train: {{task: binary, budget: {{trials: 1}}, folds: 2}}
gates:
  - {{metric: roc_auc, at_least: 0.5}}
release: {{rollout: canary, steps: [0.2, 1.0], bake: 1h}}
changes: {{approve: [approver]}}
watch: {{every: 1d}}
value: {{currency: EUR, true_positive: 9, false_positive: -4, false_negative: -9}}
"""


def _write(path: Path, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def _write_data(root: Path, n: int) -> list[tuple[object, ...]]:
    """Write the table, with one row that the contract keeps out; return its other rows."""
    chance = random.Random(7)
    rows: list[tuple[object, ...]] = []
    for number in range(n):
        amount, age = chance.gauss(0, 1), chance.gauss(40, 9)
        label = POSITIVE if amount + chance.gauss(0, 0.7) > 0.3 else NEGATIVE
        key = f"{PAYLOADS[number % len(PAYLOADS)]} {number:03}"
        rows.append((key, round(min(amount, 2.9), 4), round(age, 1), chance.choice(KINDS), label))
    _write(root / FILE, COLUMNS, [*rows, (f"{FORMULA} out", 7, 40, FORMULA, NEGATIVE)])
    return rows


def _make(root: Path) -> None:
    (root / "lines").mkdir(parents=True)
    (root / "lines" / f"{LINE}.yaml").write_text(_line_file())
    _write_data(root, ROWS - 40)
    with Factory.create(root) as factory:
        file = root / "factory.yaml"
        goal = f"goals: [{{name: {_quoted(GOAL)}, kpi: gain, target: 1000, lines: [{LINE}]}}]\n"
        file.write_text(
            f"format: 1\nabout: {_quoted(EVERYTHING)}\ncosts: {{cpu_hour: 1, label: 0.1}}\n{goal}"
        )
        execute_inline(factory, LINE)
        rows = _write_data(root, ROWS)
        _write(root / "ask.csv", COLUMNS[:-1], [row[:-1] for row in rows[:60]])
        predict_file(factory, LINE, root / "ask.csv", root / "answers.csv")
        _write(root / "truth.csv", ("key", "label"), [(row[0], row[-1]) for row in rows[:40]])
        hand_in(factory, LINE, root / "truth.csv")
        alerts = watch_days(factory, number=AMOUNT, category=KIND, values=KINDS, because=EVERYTHING)
        run = execute_inline(factory, LINE)  # other rows: another model, which is on trial
        old, new = (show(factory, f"{LINE}@{version}").body["evidence"] for version in (1, 2))
        said = predictions(factory, LINE).predictions[0]
        _people(factory)
        keep_account(factory, factory.line(LINE))
        _annotated(factory)
        values = {
            "line": LINE,
            "version": "2",
            "run": run.run,
            "digest": run.dataset,
            "before": old["dataset"],
            "explanation": new["explanation"],
            "split": run.split,
            "prediction": said.id,
            "alert": alerts["drift"],
            "proposal": _proposed(factory),
            "entry": "",
        }
        for about in ("", "2", values["digest"], values["alert"], values["proposal"], values["run"]):
            comment(factory, LINE, f"{EVERYTHING} @{MEMBER}", about=about)
        halt(factory, LINE, because=EVERYTHING)
        values["entry"] = str(audit_find(factory, limit=1).found[0].number)
    (root / "values.json").write_bytes(msgspec.json.encode(values))


def _people(factory: Factory) -> None:
    member_add(factory, MEMBER, role="admin")
    member_role(factory, MEMBER, "annotator")
    member_add(factory, VISITOR, role="admin")
    member_role(factory, VISITOR, "engineer")
    member_add(factory, "ada", role="engineer", lines=(LINE,))
    member_role(factory, "ada", "annotator", tags=(TAG,))
    member_add(factory, "bob", role="approver")
    token_create(factory, TOKEN, kind="predict", member=MEMBER)


def _annotated(factory: Factory) -> None:
    """Have two people answer questions: about one they disagree, one is skipped."""
    annotate_queue(factory, LINE, size=10, annotators=2, consent=EVERYTHING, instructions=EVERYTHING)
    for name, label in (("ada", POSITIVE), (MEMBER, NEGATIVE)):
        with by(factory, name) as member:
            for number in range(3):
                asked = annotate_next(member, LINE, consent=True).question
                if asked is None:
                    raise AssertionError("no question is left")
                said = {"because": EVERYTHING[:200], "skip": True} if number == 2 else {"label": label}
                annotate_answer(member, LINE, asked.id, **said)


def _proposed(factory: Factory) -> str:
    """Have a change proposed that waits, and return its id."""
    text = (factory.root / "lines" / f"{LINE}.yaml").read_text()
    text = text.replace("false_positive: -4", "false_positive: -5") + f"# {EVERYTHING}\n"
    with by(factory, "ada") as member:
        return propose(member, LINE, text, because=EVERYTHING).proposal
