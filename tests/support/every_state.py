"""A factory that has state of every kind, for tests that damage it or take a person out of it."""

import random
from pathlib import Path

import pytest
from templates import copied, made_once

from linewright.capabilities.annotation.operations import annotate_answer, annotate_next, annotate_queue
from linewright.capabilities.care.forget import forget
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.members.operations.tokens import token_create
from linewright.capabilities.schedules.run_tasks import do_task
from linewright.interfaces.http.replies import SqliteReplies
from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags
from linewright.line.file.view_file import read_view
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.checkpoint import checkpoint_all
from linewright.line.runs.execute import execute
from linewright.line.views.read_events import read_events
from linewright.line.views.write_records import write_view
from linewright.people.facts import SignedIn
from linewright.serve.access.accounts import noted, sha256
from linewright.serve.access.change_accounts import change
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.serve.access.sign_in import begin_owner_session, owner_link
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.store.pushed_rows import Columns, PushedRows

LINE, OTHER, SOURCE = "claims", "others", "filed"
HER, LATER = "person-QX7731", "person-QX7744"
"""Two persons: the first is forgotten already."""
_FILE = """\
line: {line}
tags: [eu]
sources: {{claims: {{push: filed, key: claim}}}}
table: {{key: claim, subject: person}}
label: {{column: fraud, positive: "yes"}}
contract:
  columns:
    claim: {{type: category}}
    person: {{type: category}}
    amount: {{type: number}}
    age: {{type: number}}
    fraud: {{type: category, allowed: ["no", "yes"]}}
train: {{task: binary, budget: quick, folds: 2}}
gates:
  - {{metric: roc_auc, at_least: 0.5}}
"""
_JOB = """\
predict:
  nightly: {rows: {file: ask.csv}, to: {file: out/answers.csv}, when: [{every: 30d}]}
"""
_VIEW = """\
view: filed_30d
entity: person
source: {push: filed, key: claim}
columns: {total: sum(amount) over 30d, n: count() over 30d}
"""
ROWS = 240


def sent_rows() -> list[dict[str, object]]:
    """Return the rows of the table as a program sends them."""
    chance, rows = random.Random(7), list[dict[str, object]]()
    for number in range(ROWS):
        amount = round(chance.gauss(0, 1), 4)
        fraud = "yes" if amount + chance.gauss(0, 0.7) > 0.3 else "no"
        person = {3: HER, 4: HER, 12: LATER, 13: LATER, ROWS - 1: LATER}.get(number, f"person-{number:05}")
        rows.append(
            {
                "claim": f"C{number:03}",
                "person": person,
                "amount": amount,
                "age": round(chance.gauss(40, 9), 1),
                "fraud": fraud,
            }
        )
    return rows


def make_every_state(folders: pytest.TempPathFactory, root: Path) -> Path:
    """Make a copy of a factory that the session makes once."""
    return copied(made_once(folders, "every-state", _make), root)


def send(factory: Factory, rows: list[dict[str, object]]):
    """Send rows, as the endpoint does; return how many were kept."""
    pushed = PushedRows.of(factory.state, SOURCE, now=factory.now)
    return pushed.keep(to_new_rows(rows, pushed.columns))


def somebody(root: Path, name: str, role: str) -> Factory:
    """Open the factory as a member."""
    scopes = (Scope(permissions=ROLES[role]),)
    return Factory.open(root, identity=Identity(actor=name, member=name, scopes=scopes))


def _make(root: Path) -> None:
    (root / "lines").mkdir(parents=True)
    (root / "features").mkdir()
    (root / "lines" / f"{LINE}.yaml").write_text(_FILE.format(line=LINE) + _JOB)
    (root / "features" / "filed_30d.yaml").write_text(_VIEW)
    rows = sent_rows()
    asked = [f"{row['claim']},{row['person']},{row['amount']},{row['age']}" for row in rows[:20]]
    (root / "ask.csv").write_text("\n".join(["claim,person,amount,age", *asked]) + "\n")
    known = [f"{row['claim']},{row['fraud']}" for row in rows[:10]]
    (root / "truth.csv").write_text("\n".join(["key,label", *known]) + "\n")
    with Factory.create(root) as factory:
        PushedRows.of(factory.state, SOURCE).open_for(Columns("claim"))
        send(factory, rows)
        execute(factory, LINE)
        predict_file(factory, LINE, root / "ask.csv", root / "answers.csv")
        hand_in(factory, LINE, root / "truth.csv")
        (root / "lines" / f"{OTHER}.yaml").write_text(_FILE.format(line=OTHER))
        do_task(factory, LINE, "predict", "nightly")
        write_view(factory, read_events(read_view(root, "filed_30d"), root, forgotten={}).facts)
        member_add(factory, "ada", role="admin")
        member_add(factory, "eve", role="viewer")
        token_create(factory, "ci", kind="predict")
        _sign_in(factory)
        keep_tags(root, factory.state)
        SqliteReplies(factory.state / "replies.sqlite").begin("key", "sha256:request")
    with somebody(root, "eve", "engineer") as engineer:
        annotate_queue(engineer, LINE, size=10)
    with somebody(root, "ann", "annotator") as annotator:
        for label in ("yes", "no", "no"):
            question = annotate_next(annotator, LINE).question
            assert question is not None
            annotate_answer(annotator, LINE, question.id, label=label, seconds=1.25)
    with Factory.open(root) as factory:
        forget(factory, LINE, HER, dry_run=False)
        checkpoint_all(factory)
        send(factory, [{**rows[-2], "claim": "C900", "person": "person-90000"}])
        checkpoint_all(factory)


def _sign_in(factory: Factory) -> None:
    at = factory.now()
    made = begin_owner_session(factory.state, owner_link(factory.state, at).code, at)
    event = SignedIn(
        at=at, by="owner", because="asked for", line="", member="", session=noted(sha256(made.code))
    )
    factory.metadata.record(event)
    change(factory.state, lambda accounts: accounts)
