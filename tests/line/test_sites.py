"""Sites of a line file: a template and what differs by site, each an ordinary line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from plants import TEMPLATE, make_plants, rows

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.lines.operations import check, check_text, line_file, plan
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.proposals.operations import propose
from linewright.capabilities.runs.operations import run
from linewright.capabilities.serving.changed_lines import Changes
from linewright.capabilities.value.operations import what_if
from linewright.errors import ContractBreach, Denied, NotFound, SpecError
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags
from linewright.line.file.read import parse_line, parse_lines, placed, read_line
from linewright.line.proposals.record import all_of
from linewright.line.proposals.rules import voters
from linewright.line.runs.execute import execute_inline
from linewright.serve.access.accounts import read_accounts
from linewright.serve.access.line_tags import FollowedTags, read_tags
from linewright.serve.access.rights import Identity

LINES = ["inspect.lyon", "inspect.porto", "inspect.turin"]


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    with Factory.open(make_plants(tmp_path / "factory")) as opened:
        yield opened


def as_member(factory: Factory, name: str) -> Factory:
    """Return the factory as a member asks it, with the rights that tags give by now."""
    keep_tags(factory.root, factory.state)
    member, other = read_accounts(factory.state).members[name], factory.asked_by(name)
    scopes = tuple(one.scope(FollowedTags(factory.state).look()) for one in member.grants)
    other.identity = Identity(actor=name, member=name, scopes=scopes)
    return other


def parsed(text: str, site: str = "turin"):
    return parse_line(text, name="lines/inspect.yaml", site=site)


def changed(factory: Factory, old: str, new: str) -> str:
    path = factory.root / "lines" / "inspect.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new))
    return path.read_text()


def test_each_site_is_a_line_of_the_template_and_what_differs_there(factory: Factory):
    """Mappings merge, and all else replaces."""
    lyon, turin = (factory.line(f"inspect.{site}") for site in ("lyon", "turin"))

    assert LINES == factory.names()
    assert ("inspect.turin", "turin.csv") == (turin.line, turin.sources["parts"].file)
    assert (9, 5) == (lyon.contract.columns["a"].max, turin.contract.columns["a"].max)
    assert (-9, "warn") == (turin.contract.columns["a"].min, turin.contract.columns["a"].on_breach)
    assert ("quality", "site:turin") == turin.tags
    assert turin.sites is None


def test_a_list_of_a_site_replaces_that_of_the_template():
    spec = parsed(TEMPLATE.replace("turin:\n", "turin:\n    gates: [{metric: roc_auc, at_least: 0.6}]\n"))

    assert ["roc_auc"] == [one.metric for one in spec.gates]


def test_a_mistake_names_file_line_and_site():
    """Whoever has ninety sites must not look through all of them."""
    with pytest.raises(SpecError, match=r"^lines/inspect.yaml:20:35: .*\(site 'turin'\).*found 'tall'"):
        parsed(TEMPLATE.replace("a: {max: 5}", "a: {max: tall}"))

    assert parsed(TEMPLATE.replace("a: {max: 5}", "a: {max: tall}"), "lyon").line == "inspect.lyon"


def test_a_mistake_of_the_template_is_one_of_each_site(factory: Factory):
    changed(factory, "folds: 2", "folds: many")

    found = check(factory, "inspect")

    assert LINES == sorted(one.line for one in found.lines if one.errors)
    assert {11} == {one.errors[0]["line"] for one in found.lines}


@pytest.mark.parametrize(
    ("site", "says"),
    [
        ("  rest: {}\n", "this cannot be the name of a site"),
        ("  Metz: {}\n", "the template has no such site|cannot be the name"),
        ("  metz: [1]\n", "'sites.metz' must be a mapping"),
        ("  metz: {line: other}\n", "'line' is the same for all sites"),
        ("  metz: {sites: {a: {}}}\n", "'sites' is the same for all sites"),
        ("  metz: {release: {rings: [[lyon]]}}\n", "the rings are the same for all sites"),
    ],
)
def test_what_no_site_can_be_is_refused(site: str, says: str):
    name = site.split(":", maxsplit=1)[0].strip()
    with pytest.raises(SpecError, match=says):
        parsed(TEMPLATE + site, name)


def test_a_template_has_no_line_of_its_own_name(factory: Factory):
    with pytest.raises(
        NotFound, match=r"this is a template.*allowed: inspect.lyon, inspect.porto, inspect.turin"
    ):
        factory.line("inspect")
    with pytest.raises(SpecError, match="declares a line for each"):
        read_line(factory.root / "lines" / "inspect.yaml")


def test_an_ordinary_line_has_no_dot(factory: Factory):
    (factory.root / "lines" / "a.b.yaml").write_text(TEMPLATE.partition("tags:")[0].replace("inspect", "a.b"))

    assert "the file's name has a dot" in (factory.trouble_with("a.b") or "")


def test_a_template_that_is_not_readable_is_a_trouble_of_its_sites(factory: Factory):
    """A missing bracket must not make lines vanish whose models serve."""
    changed(factory, "tags: [quality]", "tags: [quality")

    assert LINES == factory.names()
    assert "not readable as YAML" in (factory.trouble_with("inspect.lyon") or "")


def test_sites_that_come_and_go_are_seen(factory: Factory):
    """A site that goes from the file is retired as a line whose file is removed."""
    execute_inline(factory, "inspect.porto")
    changes = Changes(factory)
    changes.look()
    changed(factory, "  porto:", "  metz:")

    assert {"inspect.lyon", "inspect.turin", "inspect.metz"} == set(changes.look())
    assert ["inspect.lyon", "inspect.metz", "inspect.turin"] == changes.names
    gone = next(one for one in status(factory).lines if one.line == "inspect.porto")
    assert "there is no such line" in (gone.trouble or "")


def test_an_error_about_the_data_names_the_place_in_the_file(factory: Factory):
    """The part that a site replaces is where its mistake is."""
    rows(0, 50).drop("b").write_csv(factory.root / "turin.csv")

    with pytest.raises(ContractBreach, match=r"inspect.yaml:9:5: the table lacks 1 of the columns"):
        check_line(factory, "inspect.turin")
    error = placed(
        SpecError("wrong", where="sources.parts"), factory.path_of("inspect.turin"), "inspect.turin"
    )
    assert error.where.endswith("inspect.yaml:19:15")


def test_a_template_stands_for_its_sites_where_lines_are_named(factory: Factory):
    changed(factory, ", rings: [[lyon], [turin], rest]", "")

    assert LINES == sorted(one.line for one in plan(factory, "inspect").plans)
    assert LINES == sorted(one.line for one in run(factory, "inspect").runs)
    assert [f"{line}@1" for line in LINES] == [one.champion for one in status(factory).lines]
    assert {()} == {one.changes for one in plan(factory, "inspect").plans}


def test_a_member_of_a_site_sees_and_runs_that_site(factory: Factory):
    """A plant engineer has her plant, by its tag or by the name of its line."""
    member_add(factory, "lea", role="engineer", tags=("site:lyon",))
    member_add(factory, "tom", role="engineer", lines=("inspect.turin",))
    lea, tom = (as_member(factory, name) for name in ("lea", "tom"))

    assert ("inspect.lyon",) == tuple(line for line in LINES if lea.may("run", line))
    assert ("inspect.turin",) == tuple(line for line in LINES if tom.may("run", line))
    assert {"inspect.lyon": ("quality", "site:lyon")}.items() <= {
        line: one.tags for line, one in read_tags(factory.state).lines.items()
    }.items()
    with pytest.raises(Denied):
        run(lea, "inspect")


def test_who_may_see_one_site_reads_what_the_template_says_about_it(factory: Factory):
    member_add(factory, "lea", role="engineer", tags=("site:turin",))
    lea = as_member(factory, "lea")

    shown = line_file(lea, "inspect.turin").text

    assert "turin.csv" in shown
    assert "lyon.csv" not in shown
    assert "porto" not in shown
    assert "site:turin" in shown
    assert TEMPLATE == line_file(factory, "inspect.turin").text


def test_a_change_of_a_template_needs_rights_on_all_its_sites(factory: Factory):
    """What changes at one site may change at all."""
    member_add(factory, "lea", role="engineer", tags=("site:turin",))
    member_add(factory, "eva", role="engineer", tags=("quality",))
    member_add(factory, "ada", role="approver")
    member_add(factory, "tom", role="approver", tags=("site:turin",))
    text = TEMPLATE.replace("max: 5", "max: 6")

    with pytest.raises(Denied):
        propose(as_member(factory, "lea"), "inspect.turin", text, because="hotter parts")
    with pytest.raises(Denied):
        check_text(as_member(factory, "lea"), "inspect.turin")
    propose(as_member(factory, "eva"), "inspect.turin", text, because="hotter parts")

    assert {"ada"} <= set(voters(factory, all_of(factory, "inspect.turin")[0])) <= {"ada", "eva"}


def test_a_proposed_template_is_right_for_all_its_sites(factory: Factory):
    with pytest.raises(SpecError, match="site 'lyon'"):
        propose(factory, "inspect.turin", TEMPLATE.replace("lyon: {}", "lyon: {trian: {}}"), because="a try")
    with pytest.raises(SpecError, match="does not declare this line"):
        propose(
            factory,
            "inspect.turin",
            TEMPLATE.replace("  turin:", "  metz:").replace("[turin]", "[metz]"),
            because="it moves",
        )
    assert ["inspect.lyon", "inspect.turin", "inspect.porto"] == list(
        parse_lines(TEMPLATE, name="lines/inspect.yaml")
    )


def test_a_backup_has_the_template_once(factory: Factory, tmp_path: Path):
    made = make_backup(factory, tmp_path / "all.tar")

    assert 3 == made.lines


def test_the_template_of_the_guide_is_right_for_each_of_its_sites():
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "sites.md").read_text()
    text = page.partition("```yaml\n")[2].partition("```")[0]

    found = parse_lines(text, name="lines/inspect.yaml")

    assert ["inspect.lyon", "inspect.turin", "inspect.porto", "inspect.metz"] == list(found)
    assert (400, -40) == (
        found["inspect.porto"].value.true_positive,
        found["inspect.porto"].value.false_positive,
    )


def test_amounts_that_are_tried_at_one_site_are_written_at_that_site(factory: Factory):
    """A plant that is worth less must not make all plants worth less."""
    changed(
        factory,
        "tags: [quality]",
        "value: {currency: EUR, true_positive: 9, false_negative: -9}\ntags: [quality]",
    )
    changed(factory, ", rings: [[lyon], [turin], rest]", "")
    changed(factory, "{beats: champion, confidence: 0.95}", "{metric: roc_auc, at_least: 0.6}")
    assert execute_inline(factory, "inspect.turin").promoted

    found = what_if(factory, "inspect.turin", true_positive="4")
    specs = parse_lines(found.text, name="lines/inspect.yaml")

    assert (9, 4) == tuple(specs[f"inspect.{site}"].value.true_positive for site in ("lyon", "turin"))
    member_add(factory, "lea", role="engineer", tags=("site:turin",))
    assert ("", "") == ((seen := what_if(as_member(factory, "lea"), "inspect.turin")).text, seen.diff)


def test_a_file_that_is_named_as_the_line_of_a_site_hides_nothing(factory: Factory):
    (factory.root / "lines" / "inspect.lyon.yaml").write_text("line: inspect.lyon\n")

    assert "inspect.yaml" == factory.path_of("inspect.lyon").name
    assert factory.trouble_with("inspect.lyon") is None
