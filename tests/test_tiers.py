"""The tiers of the tests: what `make test` leaves out, and what it must not."""

import re
from collections import Counter
from pathlib import Path
from pkgutil import resolve_name

import pytest
import tiers

import linewright

ROOT = Path(__file__).parents[1]
PACKAGES = {one.parent.name for one in Path(linewright.__file__).parent.glob("*/__init__.py")}
STAYS = {
    "a run": tiers.Reach(
        objects=frozenset({
            "linewright.line.runs.execute.execute",
            "linewright.line.runs.execute.execute_inline",
        })
    ),
    "a run in a child": tiers.Reach(words=frozenset({"forked"})),
    "a served endpoint": tiers.Reach(words=frozenset({"Endpoint"})),
    "a server within the test": tiers.Reach(modules=frozenset({"uvicorn"})),
    "PostgreSQL": tiers.Reach(words=frozenset({"postgres", "postgres_database", "postgres_url"})),
    "MariaDB": tiers.Reach(words=frozenset({"mariadb"})),
}  # fmt: skip


@pytest.fixture
def collected(request) -> tuple[pytest.Item, ...]:
    """All tests, of whatever tier."""
    if request.config.getoption("file_or_dir"):
        pytest.skip("looks at all tests: run pytest without naming files")
    return request.config.stash[tiers.COLLECTED]


def is_in(tier: str, item: pytest.Item) -> bool:
    return item.get_closest_marker(tier) is not None


def is_in_make_test(item: pytest.Item) -> bool:
    return not (is_in("nightly", item) and is_in("slow", item))


def test_no_test_is_of_two_tiers(collected):
    """`make test` carries out all that `make fast` does."""
    assert not [one.nodeid for one in collected if is_in("unit", one) and is_in("nightly", one)]


def test_each_package_keeps_tests_in_make_test(collected):
    """A package whose tests are all nightly and slow would break unseen."""
    stay = Counter[str]()
    for file in {one.path for one in collected if is_in_make_test(one)}:
        stay.update(set(re.findall(r"\blinewright\.([a-z]+)", file.read_text())))

    assert not PACKAGES - stay.keys()


@pytest.mark.parametrize("what", STAYS)
def test_what_matters_most_stays_in_make_test(collected, what: str):
    """Who changes code learns what a run, an endpoint or a database says of it."""
    reach = [one for one in collected if tiers.can_reach(one, STAYS[what])]
    stay = [one for one in reach if is_in_make_test(one)]
    print(f"{what}: {len(stay)} of {len(reach)}")

    assert len(stay) >= 10


def test_what_a_change_must_pass_leaves_out_the_slow_nightly_tests_alone(collected):
    """What `.ci/run` does not run, nobody may have run."""
    left_out = [one for one in collected if not is_in_make_test(one)]

    assert ["check", "install", "test"] == sorted(
        re.findall(r"^(?:nice -n 19 )?make (\S+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    )
    assert len(left_out) <= len(collected) / 100


@pytest.mark.parametrize(
    ("target", "tests", "examples"),
    [("test", "not (nightly and slow)", "20"), ("test-all", "", "50"), ("fast", "unit", "5")],
)
def test_each_command_of_make_has_its_tier(target: str, tests: str, examples: str):
    """CONTRIBUTING says the same."""
    rules = (ROOT / "Makefile").read_text()

    assert re.search(rf"^{target}: TESTS := ?{re.escape(tests)}$", rules, re.MULTILINE)
    assert re.search(rf"^{target}: EXAMPLES := {examples}$", rules, re.MULTILINE)


def starts_a_command() -> None:
    import subprocess

    subprocess.run(["true"], check=True)


def calls_what_starts() -> None:
    starts_a_command()


@pytest.mark.parametrize(("named", "is_nightly"), [(calls_what_starts, True), (is_in, False)])
def test_what_starts_a_program_by_a_helper_is_nightly(named, is_nightly: bool):
    """Nobody marks it by hand."""
    assert is_nightly is tiers.leads_to(named, tiers.NIGHTLY)


@pytest.mark.parametrize("name", sorted(tiers.COSTLY.objects | tiers.NIGHTLY.objects))
@pytest.mark.usefixtures("processes")
def test_what_is_costly_is_there_by_that_name(name: str):
    """One that is moved would no longer be seen, and its tests would be taken for unit tests. Some start a program when they are imported."""
    assert callable(resolve_name(name)) or name.endswith(".TRAINERS")


def test_helpers_that_are_cheap_are_there_by_that_name():
    """One that is moved would put all that use it into the nightly tier."""
    for one in tiers.NIGHTLY.cheap:
        file, _, name = one.partition(":")
        assert name in (ROOT / "tests" / file).read_text(), one
