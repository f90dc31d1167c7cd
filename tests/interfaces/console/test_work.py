"""Where work is done: new lines, line files, runs, rows that are tried, other amounts, and what serves."""

from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode

import pytest
from shown_pages import COLUMN, HOSTILE, Get, hostile_factory, pages_of

from linewright.capabilities.overview.operations.history import runs
from linewright.capabilities.proposals.operations import propose
from linewright.interfaces.console.render import environment
from linewright.line.factory import Factory
from linewright.line.runs.progress import StepDone, StepState
from linewright.line.runs.run_log import RunLog

PAGES = ["file", "file/check", "try", "value", "value/account", "value/what-if", "release"]
CSV = "id,size,fraud\n" + "\n".join(f"{n},{n % 7},{'no' if n % 3 else 'yes'}" for n in range(60))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with hostile names, which these tests change."""
    return hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("work") / "factory")


@pytest.fixture(scope="module")
def ask(root: Path) -> Get:
    return pages_of(root)


@pytest.fixture(scope="module")
def run(hostile: Path) -> str:
    with Factory.open(hostile) as factory:
        return runs(factory, "claims").runs[0].run


def held(root: Path, line: str = "claims") -> str:
    return (root / "lines" / f"{line}.yaml").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_no_name_that_somebody_gave_is_carried_out(get: Get, page: str):
    """Columns, categories and comments of a line file are texts, wherever they stand."""
    shown = get(f"/lines/claims/{page}")

    assert 200 == shown.status, shown.text
    shown.assert_harmless()


@pytest.mark.parametrize("page", PAGES)
def test_who_sees_another_line_sees_nothing_of_this_one(get: Get, page: str):
    shown = get(f"/lines/claims/{page}", role="engineer", lines=("other",))

    assert 403 == shown.status
    assert "h1" in shown.tags


def test_a_viewer_finds_no_form_that_would_do_something(get: Get):
    """What is shown is what may be done."""
    for page in ("file", "release", "value/what-if"):
        shown = get(f"/lines/claims/{page}", role="viewer")
        assert not [form for form in shown.forms if form.startswith("/do/")]
    assert 403 == get("/lines/claims/try", role="viewer").status
    assert 403 == get("/new", role="viewer").status


# Runs


def test_a_run_shows_each_step_with_its_time_and_what_the_gates_found(get: Get, run: str):
    shown = get(f"/runs/{run}")

    assert 200 == shown.status
    for said in ("ingest", "release", "done", "roc_auc at least 0.5", "passed", "What was tried", "logistic"):
        assert said in shown.text or said == "logistic"
    assert any(link.startswith("/evidence/sha256:") for link in shown.links)
    shown.assert_harmless()


def test_the_list_of_runs_is_of_one_line_where_that_is_asked(get: Get, run: str):
    assert f"/runs/{run}" in get("/runs?line=claims").links
    assert f"/runs/{run}" not in get("/runs?line=other").links
    assert 404 == get("/runs/00000000-0000-0000-0000-000000000000").status
    assert 404 == get(f"/runs/{run}", lines=("other",)).status


def test_a_run_shows_its_log_and_to_a_viewer_nothing_that_code_printed(ask: Get, root: Path):
    """Whatever code prints is text, and it may be a row."""
    with Factory.open(root) as factory:
        run = runs(factory, "claims").runs[0].run
        log = RunLog.of(factory, run)
        for one in HOSTILE:
            log.output(f"{one}\n".encode())
    shown, viewed = ask(f"/runs/{run}"), ask(f"/runs/{run}", role="viewer")

    assert "reading the sources" in viewed.text
    assert "{{31337*7}}" in shown.text
    assert "{{31337*7}}" not in viewed.text
    assert "4 lines that libraries or code of the line wrote" in viewed.text
    shown.assert_harmless()


@pytest.mark.parametrize("state", get_args(StepState))
def test_each_state_of_a_step_has_a_word(state: str):
    """A step that is cancelled, say, is rare: its page must not fail then."""
    macros: Any = environment().get_template("work.html.jinja").make_module({})
    step = StepDone(step="train", says="training", state=state, begun="2026-01-01T00:00:00.000000Z")

    assert "train" in str(macros.belt([step]))


# New lines


def test_a_pasted_table_becomes_a_line_file_with_its_reasons(ask: Get, root: Path):
    """It works without JavaScript: text in a form field."""
    form = {"name": "pasted", "label": "fraud", "_text.data": CSV, "_as.data": "{name}.csv"}
    shown = ask("/do/new", form=form | {"_page": "/new", "_show": "/lines/{name}/file"})

    assert 200 == shown.status, shown.text
    assert "The line file is written" in shown.text
    assert "# " in held(root, "pasted")
    assert CSV == (root / "data" / "pasted.csv").read_text()


def test_what_was_typed_stays_where_something_is_wrong(ask: Get, root: Path):
    typed = {"name": "typed", "label": HOSTILE[1], "_text.data": CSV, "_as.data": "{name}.csv"}
    shown = ask("/do/new", form=typed | {"_page": "/new", "_show": "/lines/{name}/file"})

    assert 422 == shown.status
    assert "the data has no such column" in shown.text
    assert CSV.splitlines()[5] in shown.text
    assert 'value="typed"' in shown.html
    assert not (root / "data" / "typed.csv").exists()
    shown.assert_harmless()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../secret.csv", "claims.csv", "data/../claims.csv", "file:x/y"]
)
def test_a_form_names_no_file_of_the_server(ask: Get, path: str):
    """But those that lie in the factory's data: whoever makes lines may read these anyway."""
    shown = ask("/do/new", form={"name": "stolen", "label": "fraud", "data": path, "_page": "/new"})

    assert shown.status in {404, 422}
    assert "from another machine a file is sent first" in shown.text or "you have no such file" in shown.text


def test_a_file_that_is_in_the_factory_can_be_named(ask: Get, root: Path):
    (root / "data").mkdir(exist_ok=True)
    (root / "data" / "there.csv").write_text(CSV)
    form = {"name": "there", "label": "fraud", "data": "data/there.csv", "_show": "/lines/{name}/file"}

    assert 200 == ask("/do/new", form=form).status
    assert "data/there.csv" in held(root, "there")


# Line files


def test_a_text_is_checked_without_being_saved(ask: Get, root: Path):
    """A mistake has its place, and nothing that was written is lost."""
    before = held(root)
    text = before.replace("budget: quick", f"budget: '{HOSTILE[0]}'")
    shown = ask(
        "/do/check-text", form={"line": "claims", "file": text, "_page": "/lines/claims/file", "because": ""}
    )

    assert 200 == shown.status
    assert "Not right yet" in shown.text
    assert "Line 12, column 31" in shown.text
    assert f"budget: '{HOSTILE[0]}'" in shown.text
    assert before == held(root)
    shown.assert_harmless()


def test_lines_end_as_in_the_file_whatever_a_browser_sends(ask: Get, root: Path):
    """Browsers end lines of a form by two characters."""
    text = held(root).replace("\n", "\r\n")
    shown = ask("/do/check-text", form={"line": "claims", "file": text, "_page": "/lines/claims/file"})

    assert "This is the file in force" in shown.text


def test_a_remedy_is_written_into_the_text_by_one_click(ask: Get, root: Path):
    edits = '[{"path":["table","exclude"],"value":"amount","is_item":true}]'
    form = {"line": "claims", "file": held(root), "edits": edits, "_page": "/lines/claims/file"}
    shown = ask("/do/check-text", form=form)

    assert "exclude: [amount]" in shown.text
    assert "The text is right" in shown.text


def test_a_form_gives_each_operation_only_what_it_takes(ask: Get, root: Path):
    """One form has buttons for several: a field that is named as optional is left out, another is refused."""
    form = {"line": "claims", "file": held(root), "because": "why", "_page": "/lines/claims/file"}

    assert 422 == ask("/do/check-text", form=form).status
    assert 200 == ask("/do/check-text", form=form | {"_if_taken": "because edits"}).status


def test_what_a_run_would_change_is_told_before_the_text_is_proposed(ask: Get, root: Path):
    text = held(root).replace("false_positive: -4", "false_positive: -5")
    form = {"line": "claims", "file": text, "_page": "/lines/claims/file"}
    shown = ask("/do/plan-text", form=form)

    assert 200 == shown.status, shown.text
    assert "decide" in shown.text
    assert "false_positive: -4" in held(root)


def test_a_proposed_text_waits_for_somebody_else(ask: Get, root: Path):
    text = held(root).replace("false_positive: -4", "false_positive: -6")
    form = {"line": "claims", "file": text, "_page": "/lines/claims/file", "_next": "/lines/claims/file"}

    assert 422 == ask("/do/propose", form=form).status  # no reason is given
    answer = ask("/do/propose", form=form | {"because": HOSTILE[0]})
    assert 303 == answer.status
    assert answer.location.startswith("/lines/claims/file?note=")
    shown = ask("/lines/claims/file")
    assert HOSTILE[0] in shown.text
    assert "false_positive: -4" in held(root)
    shown.assert_harmless()


def test_the_owner_needs_nobody_to_change_a_file_that_is_theirs(root: Path):
    """Who may write to the folder need not propose; who does so in the console is not held up."""
    with Factory.open(root) as factory:
        said = propose(factory, "other", held(root, "other") + "owner: eve\n", because="mine")

    assert "done" == said.state
    assert held(root, "other").endswith("owner: eve\n")


@pytest.mark.parametrize("text", ["/etc/passwd", "data/there.csv"])
def test_no_text_of_a_form_is_taken_for_the_name_of_a_file(ask: Get, text: str):
    """A command is given a file that has the text; a form has the text itself."""
    shown = ask("/do/check-text", form={"line": "claims", "file": text, "_page": "/lines/claims/file"})

    assert "the file does not hold a line" in shown.text
    assert "root:" not in shown.text


# Rows that are tried


def test_a_row_is_answered_with_what_would_change_it(get: Get, hostile: Path):
    """Its address can be sent to somebody, and nothing is logged."""
    before = sum(
        file.stat().st_size for file in (hostile / ".linewright" / "log").rglob("*") if file.is_file()
    )
    row = {"c.amount": "0.4", f"c.{COLUMN}": HOSTILE[1]}
    shown = get(f"/lines/claims/try?{urlencode(row)}")

    assert 200 == shown.status, shown.text
    assert "What would change the answer" in shown.text
    assert "another" in shown.text
    after = sum(
        file.stat().st_size for file in (hostile / ".linewright" / "log").rglob("*") if file.is_file()
    )
    assert before == after
    shown.assert_harmless()


def test_a_row_that_does_not_fit_stays_in_the_form(get: Get):
    shown = get(f"/lines/claims/try?{urlencode({'c.amount': HOSTILE[0]})}")

    assert 200 == shown.status
    assert "not a value of this column" in shown.text
    shown.assert_harmless()


def test_the_form_has_the_columns_that_the_model_reads_and_an_example(get: Get):
    shown = get("/lines/claims/try")

    assert 'name="c.amount"' in shown.html
    assert "/lines/claims/try" in shown.forms


# Value


def test_other_amounts_move_threshold_and_money_and_can_be_proposed(get: Get):
    shown = get("/lines/claims/value/what-if?false_positive=-30")

    assert 200 == shown.status, shown.text
    for said in ("Threshold", "Worth of the test rows", "Propose these amounts"):
        assert said in shown.text
    assert "false_positive: -30" in shown.html
    assert "svg" in shown.tags


@pytest.mark.parametrize("amount", [*HOSTILE, "nan", "amount", "-amount"])
def test_an_amount_that_is_none_is_told_beside_the_form(get: Get, amount: str):
    shown = get(f"/lines/claims/value/what-if?{urlencode({'true_positive': amount})}")

    assert 200 == shown.status
    shown.assert_harmless()


def test_a_chart_of_a_page_with_values_gives_the_data_of_these_values(get: Get):
    shown = get("/lines/claims/value/what-if?false_positive=-30")
    link = next(link for link in shown.links if "data=0.csv" in link)

    assert "false_positive=-30" in link
    assert 200 == get(link).status


# What serves


def test_a_forced_promotion_needs_a_reason(ask: Get):
    form = {"model": "claims@1", "force": "true", "_next": "/lines/claims/release"}

    assert 422 == ask("/do/promote", form=form).status


def test_a_line_is_halted_and_freed_with_a_reason(ask: Get):
    for off in ("", "true"):
        form = {"line": "claims", "because": HOSTILE[0], "off": off, "_next": "/lines/claims/release"}
        assert 303 == ask("/do/halt", form=form).status
        shown = ask("/lines/claims/release")
        assert HOSTILE[0] in shown.text
        shown.assert_harmless()


def test_a_form_leads_to_no_other_site(ask: Get):
    form = {"line": "claims", "off": "true", "_next": "https://elsewhere.example/{line}"}

    assert ask("/do/halt", form=form).location.startswith("/?note=")
