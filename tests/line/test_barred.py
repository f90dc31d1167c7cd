"""A champion that reads what its line bars by now: nobody may take it for an equal, or go back to it unawares."""

import shutil

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.evidence.operations import card, why
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.releases.operations import promote, rollback
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.model.card.render import escape_markdown

ROWS = 400
FORCE = (
    'linewright promote births@2 --force --because "the champion reads columns that the line no longer uses"'
)
FILE = """\
line: births
sources: {births: {file: births.csv}}
table: {key: id, exclude: []}
label: {column: early, positive: "yes"}
contract:
  columns:
    id: {type: category, unique: true}
    age: {type: number}
    weight_at_birth: {type: number}
    early: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: {trials: 1}, folds: 2}
gates:
  - {beats: champion}
"""
EXCLUDED = ("exclude: []", "exclude: [weight_at_birth]")
UNNAMED = ("    weight_at_birth: {type: number}\n", "")


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """Make a factory whose champion reads what is known only after the birth; tests get copies of it."""
    root = tmp_path_factory.mktemp("leaking") / "factory"
    (root / "lines").mkdir(parents=True)
    chance = np.random.default_rng(3)
    age = chance.normal(size=ROWS)
    early = chance.random(ROWS) < 1 / (1 + np.exp(-age))
    frame = pl.DataFrame(
        {
            "id": [f"b{row:03}" for row in range(ROWS)],
            "age": age.round(3),
            "weight_at_birth": (chance.normal(size=ROWS) - 5 * early).round(3),
            "early": np.where(early, "yes", "no"),
        }
    )
    frame.write_csv(root / "births.csv")
    (root / "lines" / "births.yaml").write_text(FILE)
    with Factory.create(root) as factory:
        assert execute_inline(factory, "births").promoted
    return root


@pytest.fixture
def births(leaking, tmp_path):
    with Factory.open(shutil.copytree(leaking, tmp_path / "factory")) as factory:
        yield factory


def change(factory, old, new):
    path = factory.root / "lines" / "births.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new))


def test_who_loses_to_a_champion_that_reads_what_is_barred_is_told_so_and_how_to_serve(births):
    """The verdict is right about the numbers, and whoever mended the leak must not be sent away with it."""
    change(births, *EXCLUDED)
    ran = execute_inline(births, "births")
    page = card(births, "births@2").markdown

    reads = "births@1 reads 1 column that the line file now excludes: 'weight_at_birth'"
    assert (False, "reject") == (ran.promoted, ran.verdict)
    assert (FORCE, "linewright card births@2") == ran.next
    assert f"  warn     it was not compared with an equal: the champion {reads}; " in result_text(ran)
    assert f"  warn     if it should serve in spite of its gates: {FORCE}\n" in result_text(ran)
    assert f"It was not compared with an equal: the champion {reads}; " in page
    assert f"If it should serve all the same: {escape_markdown(f'`{FORCE}`')}." in page


def test_who_replaces_a_champion_that_needs_what_is_gone_is_told_how_to_serve(births):
    """There is nothing to compare: a person decides, and has to know by which command."""
    change(births, *UNNAMED)
    ran = execute_inline(births, "births")
    served = promote(births, "births@2")
    back = rollback(births, "births")

    gone = "the champion needs columns that the table no longer has: weight_at_birth"
    assert "hold" == ran.verdict
    assert f"{gone}; `linewright promote births@2` lets it serve all the same" == ran.because
    assert ran.barred is None
    assert "births@2" == served.champion
    assert (
        "births@1 reads 1 column that the line file no longer gives to a model: 'weight_at_birth'"
        == back.barred
    )


def test_a_rollback_to_what_reads_barred_columns_is_not_proposed_and_told_where_it_is_done(births):
    """The gates condemn the honest model that was promoted by force: the way back leads to the leak."""
    change(births, *EXCLUDED)
    execute_inline(births, "births")
    forced = promote(births, "births@2", force=True, because="an honest one")
    found = status(births)
    again = execute_inline(births, "births")
    page, claim = card(births, "births@2").markdown, why(births, "births@2")
    back = rollback(births, "births")

    reads = "births@1 reads 1 column that the line file now excludes: 'weight_at_birth'"
    assert "" == forced.barred
    assert ("linewright halt births",) == found.lines[0].next
    assert reads == found.lines[0].going_back
    assert f"  `linewright rollback births` is no way out: {reads}" in result_text(found)
    assert ("linewright halt births", "linewright card births@2") == again.next
    assert again.barred is None
    assert "It was not compared with an equal" in page
    assert "--force" not in page
    assert "; it was promoted by force on " in claim.says
    assert claim.says.endswith(": an honest one")
    assert reads == back.barred
    assert result_text(back).endswith(f"\n  warn     {reads}")


def test_a_broken_line_file_bars_what_it_barred_when_it_was_accepted_last(births):
    """At night, with a file that somebody has half mended, a rollback is as likely as by day."""
    change(births, *EXCLUDED)
    execute_inline(births, "births")
    promote(births, "births@2", force=True, because="an honest one")
    change(births, "gates:", "gaits:")

    assert "births@1 reads 1 column" in rollback(births, "births").barred


def test_a_champion_that_reads_what_the_line_reads_is_an_equal(births):
    """Else the way around the gates would be shown to everybody who loses."""
    change(births, "trials: 1", "trials: 2")
    ran = execute_inline(births, "births")

    assert ran.barred is None
    assert "--force" not in result_text(ran)
    assert "not compared with an equal" not in card(births, ran.candidate).markdown
