"""All tasks keep one contract, those of the table and those of packages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_task import COUNT, ORDINAL, installed_tasks

from linewright.errors import SpecError
from linewright.model import task_names
from linewright.model.tasks import TaskRules, task
from linewright.model.tasks.anomaly import ANOMALY
from linewright.model.tasks.binary import BINARY
from linewright.model.tasks.multiclass import MULTICLASS
from linewright.model.tasks.regression import REGRESSION
from linewright.model.tasks.survival import RUL, SURVIVAL
from linewright.testing.tasks import TaskContract


class TestBinary(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return BINARY

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return ("no", "yes")


class TestAnomaly(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return ANOMALY

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return ("good", "faulty")


class TestMulticlass(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return MULTICLASS

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return ("red", "green", "blue", "grün")


class TestRegression(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return REGRESSION

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return ("1.5", "-2", "0", "7e2", "30")


TIMES = ("3", "7", "12.5", "12.5+", "20", "30", "30+", "41.25", "55", "60+", "60")


class TestSurvival(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return SURVIVAL

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return TIMES


class TestRemainingLife(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return RUL

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return TIMES


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[None]:
    """Let this process find the tasks of `toy_task`."""
    with installed_tasks(tmp_path / "site"):
        yield


@pytest.mark.usefixtures("installed")
class TestOrdinal(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return ORDINAL

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return ("3", "10", "4", "7")


@pytest.mark.usefixtures("installed")
class TestCount(TaskContract):
    @pytest.fixture
    def rules(self) -> TaskRules:
        return COUNT

    @pytest.fixture
    def labels(self) -> tuple[str, ...]:
        return ("0", "1", "2", "3", "8")


@pytest.mark.usefixtures("installed")
def test_a_task_of_a_package_is_named_beside_those_of_the_table():
    """A typing mistake is answered with all that there are."""
    with pytest.raises(SpecError, match=f"allowed: {', '.join(task_names.TASKS)}, count, ordinal"):
        task("ordinel")


@pytest.mark.usefixtures("installed")
def test_a_package_cannot_take_the_name_of_a_built_in_task(tmp_path: Path):
    """Every line that has it would change its meaning."""
    entries = tmp_path / "site" / "toytasks-1.dist-info" / "entry_points.txt"
    entries.write_text("[linewright.tasks]\nbinary = toy_task:ORDINAL\n")

    assert BINARY is task("binary")
    assert tuple(task_names.TASKS) == task_names.task_names()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("toy_task:NOTHING", "cannot be loaded"),
        ("no_such_module:X", "cannot be loaded"),
        ("toy_task:SMALLEST", "does not define a task"),
    ],
)
def test_a_package_that_is_broken_is_named(tmp_path: Path, place: str, why: str):
    """Its author is the one to ask."""
    entries = tmp_path / "site" / "toytasks-1.dist-info" / "entry_points.txt"
    entries.write_text(f"[linewright.tasks]\nbroken = {place}\n")

    with pytest.raises(SpecError, match=f"{why}.*{place}"):
        task("broken")
