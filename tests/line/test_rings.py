"""Release in rings: what a template changes serves at the first ring first, and where it is worse no other site sees it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plants import SITES, TEMPLATE, Plants, make_plants, plants_in, write_history

from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.proposals.operations import proposals
from linewright.capabilities.releases.halt import halt
from linewright.capabilities.releases.operations import promote, rollback
from linewright.errors import SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.file.read import parse_line
from linewright.line.release.rings import rings_of
from linewright.line.release.rollout import tend_canary
from linewright.release.facts import Deployed, Promoted, Withdrawn


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make plants whose first models serve at all sites, each after the ring before has served its time."""
    root = make_plants(tmp_path_factory.mktemp("plants") / "factory")
    with plants_in(root) as plants:
        serve_all(plants)
    return root


def serve_all(plants: Plants) -> None:
    """Let the first models serve at all sites, one ring after the other."""
    assert [True, False, False] == plants.run()
    plants.after(minutes=59)
    assert [1, None, None] == plants.champions()
    plants.after(minutes=2)
    assert [1, 1, None] == plants.champions()
    plants.after(minutes=61)
    assert [1, 1, 1] == plants.champions()


@pytest.fixture
def plants(tmp_path: Path, served: Path) -> Iterator[Plants]:
    with a_month_later(shutil.copytree(served, tmp_path / "factory")) as one:
        yield one


@contextmanager
def a_month_later(root: Path) -> Iterator[Plants]:
    with plants_in(root) as one:
        one.clock.at = one.clock.at.replace(month=4)
        yield one


@pytest.fixture(scope="module")
def renewed_once(tmp_path_factory: pytest.TempPathFactory, served: Path) -> Path:
    """Make plants at which another model of the template is just tried at the first ring."""
    root = shutil.copytree(served, tmp_path_factory.mktemp("renewed") / "factory")
    with a_month_later(root) as plants:
        renew(plants)
    return root


@pytest.fixture
def renewed(tmp_path: Path, renewed_once: Path) -> Iterator[Plants]:
    with a_month_later(shutil.copytree(renewed_once, tmp_path / "factory")) as one:
        yield one


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Draw the rows by two seeds; `--lives 20` takes twenty, as `benchmarks/machines.py` does."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, max(2, metafunc.config.getoption("--lives")) + 1))


def renew(plants: Plants, *, seed: int = 0) -> None:
    """Let the template ask for other models, of a world that has turned, and run all sites."""
    write_history(plants.factory.root, 1800, turned=True, seed=seed)
    plants.change("folds: 2", "folds: 3")
    plants.run()


def waits(plants: Plants, site: str) -> str:
    return status(plants.factory, f"inspect.{site}").lines[0].waits or ""


@pytest.mark.slow
def test_a_worse_release_is_halted_in_the_first_ring_and_no_other_site_sees_it(renewed: Plants):
    """A template that is wrong costs one plant some rows, and no other plant any."""
    assert ["lyon"] == renewed.tried()

    renewed.answer("lyon", 400)  # the world has not turned: what the files said was wrong
    renewed.after(minutes=5)
    renewed.after(days=9)
    renewed.run()
    renewed.after(days=9)

    assert ["quality"] == [one.trigger for one in renewed.factory.metadata.events(Withdrawn)]
    assert [1, 1, 1] == renewed.champions()
    assert {"inspect.lyon"} == {one.line for one in renewed.factory.metadata.events(Deployed)}
    assert "the release was halted at ring 1 (inspect.lyon): inspect.lyon@2 was withdrawn there" in waits(
        renewed, "turin"
    )
    assert "halted at ring 1" in waits(renewed, "porto")


@pytest.mark.slow
def test_over_seeds_a_worse_release_never_leaves_the_first_ring(tmp_path: Path, seed: int):
    """What a plant is promised holds whatever the rows are."""
    with plants_in(make_plants(tmp_path / "factory", seed=seed)) as plants:
        plants.number += seed * 1_000_000
        serve_all(plants)
        renew(plants, seed=seed)
        for _ in range(4):
            plants.answer("lyon", 100)
            plants.after(minutes=20)
        plants.after(days=1)

        assert [1, 1, 1] == plants.champions()
        assert {"inspect.lyon"} == {one.line for one in plants.factory.metadata.events(Deployed)}
        assert ["quality"] == [one.trigger for one in plants.factory.metadata.events(Withdrawn)]


def test_each_ring_begins_when_the_one_before_has_passed_its_trial(renewed: Plants):
    assert "it waits for ring 1 (inspect.lyon), where inspect.lyon@2 is tried until" in waits(
        renewed, "turin"
    )

    for site, serves in (("lyon", [2, 1, 1]), ("turin", [2, 2, 1]), ("porto", [2, 2, 2])):
        assert [site] == renewed.tried()
        renewed.answer(site, 100, turned=True)
        renewed.after(minutes=61)
        assert serves == renewed.champions()

    promoted = [one for one in renewed.factory.metadata.events(Promoted) if one.model == 2]
    assert ["inspect.lyon", "inspect.turin", "inspect.porto"] == [one.line for one in promoted]
    assert all(one.evidence for one in promoted)


def test_a_person_who_goes_back_at_the_first_ring_keeps_the_others_from_it(renewed: Plants):
    renewed.answer("lyon", 100, turned=True)
    renewed.clock.at = renewed.clock.at.replace(hour=2)
    tend_canary(renewed.factory, renewed.factory.line("inspect.lyon"))
    rollback(renewed.factory, "inspect.lyon", because="the belt stood still")
    renewed.after(days=1)

    assert [1, 1, 1] == renewed.champions()
    assert [] == renewed.tried()


def test_a_halted_site_holds_the_rings_behind_it(renewed: Plants):
    halt(renewed.factory, "inspect.lyon", because="smoke")
    renewed.after(days=1)

    assert "ring 1 (inspect.lyon), which is halted: smoke" in waits(renewed, "porto")
    assert "ring 1 (inspect.lyon), which is halted" in result_text(status(renewed.factory, "inspect.porto"))


def test_a_candidate_that_a_person_takes_back_at_the_first_ring_goes_no_further(renewed: Plants):
    rollback(renewed.factory, "inspect.lyon", canary=True, because="the belt stood still")
    renewed.after(days=1)

    assert [] == renewed.tried()
    assert "inspect.lyon@2 was withdrawn there: the belt stood still" in waits(renewed, "turin")


def test_a_candidate_that_does_not_pass_at_the_first_ring_keeps_the_others_from_it(plants: Plants):
    plants.change("lyon: {}", "lyon: {gates: [{metric: roc_auc, at_least: 0.999}]}")
    renew(plants)

    assert [] == plants.tried()
    assert "ring 1 (inspect.lyon), which does not serve inspect.lyon@2" in waits(plants, "turin")


@pytest.mark.slow
def test_another_estimator_under_the_same_name_is_a_change_for_all(plants: Plants):
    """Code that a template names is part of what it says."""
    code = plants.factory.root / "own.py"
    text = "from sklearn.linear_model import LogisticRegression\n\n\ndef make(task, seed):\n    return LogisticRegression(C={c})\n"
    code.write_text(text.format(c="1.0"))
    write_history(plants.factory.root, 1800, turned=True)
    plants.change("budget: {trials: 1}, folds: 2", "python: own.py:make")
    plants.run()
    for site in SITES:
        plants.answer(site, 60, turned=True)
        plants.after(minutes=61)
    assert [2, 2, 2] == plants.champions()

    code.write_text(text.format(c="0.001"))
    plants.change("{beats: champion, confidence: 0.95}", "{metric: roc_auc, at_least: 0.5}")
    plants.run()

    assert ["lyon"] == plants.tried()


def test_a_retraining_by_the_same_file_waits_for_no_ring(plants: Plants):
    """Rings hold what a person changes for all sites, not what a site learns from its own rows."""
    write_history(plants.factory.root, 1800, turned=True)
    plants.run()

    assert ["lyon", "turin", "porto"] == plants.tried()


def test_what_differs_at_one_site_waits_for_no_ring(plants: Plants):
    write_history(plants.factory.root, 1800, turned=True)
    plants.change("porto: {", "porto: {train: {folds: 3}, ")
    plants.run()

    assert "porto" in plants.tried()


def test_a_person_may_let_a_candidate_serve_before_its_ring(renewed: Plants):
    promote(renewed.factory, "inspect.porto@2", because="the line in Porto stands still otherwise")

    assert [1, 1, 2] == renewed.champions()


def test_where_the_file_wants_approval_it_is_proposed_when_the_ring_begins(plants: Plants):
    """Nobody is asked to approve what may not begin yet."""
    member_add(plants.factory, "ada", role="approver")
    plants.change("rings:", "approve: [approver], rings:")
    renew(plants)
    assert ["inspect.lyon"] == [one.line for one in proposals(plants.factory).proposals]

    promote(plants.factory, "inspect.lyon@2", because="the owner may")
    plants.answer("lyon", 100, turned=True)
    plants.after(minutes=61)

    assert ["inspect.lyon", "inspect.turin"] == sorted(
        {one.line for one in proposals(plants.factory, all=True).proposals}
    )
    assert "wants approval by approver" in waits(plants, "turin")
    assert "ring 2" in waits(plants, "porto")


def test_rings_name_the_lines_of_sites(plants: Plants):
    rings = rings_of(plants.factory, plants.factory.line("inspect.turin"))

    assert [["inspect.lyon"], ["inspect.turin"], ["inspect.porto"]] == rings


@pytest.mark.parametrize(
    ("rings", "says"),
    [
        ("[[lion], rest]", "the template has no such site.*did you mean 'lyon'"),
        ("[[lyon], [turin, lyon], rest]", "the site is in two rings"),
        ("[[lyon], [turin]]", "sites are in no ring.*found 'porto'"),
        ("[rest, [lyon]]", "'rest' is the last ring"),
        ("[lyon, rest]", "cannot have this value"),
    ],
)
def test_rings_that_leave_a_site_without_a_place_are_refused(rings: str, says: str):
    with pytest.raises(SpecError, match=says):
        parse_line(TEMPLATE.replace("[[lyon], [turin], rest]", rings), name="lines/inspect.yaml", site="lyon")


def test_rings_need_a_trial():
    text = TEMPLATE.replace("rollout: blue-green, bake: 1h, ", "")
    with pytest.raises(SpecError, match="a ring serves its time in a trial, and this release has none"):
        parse_line(text, name="lines/inspect.yaml", site="lyon")
