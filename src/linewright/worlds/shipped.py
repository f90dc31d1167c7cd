"""Lines on data that scikit-learn ships, as they stand on some morning: one has an alert, one tries a candidate, one waits for an approval.

They live the week up to now, through the same steps as users' own lines. Only the clock is set, so that a week takes seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl
from sklearn import datasets as shipped

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.serving.worker import tend_inline
from linewright.capabilities.value.update import keep_account
from linewright.client import Client
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.store.files.rights import make_asked_folder
from linewright.worlds.endpoint import endpoint, wait_for
from linewright.worlds.living import Clock, run_first

DAYS = 6
"""Days before today on which the lines begin."""
NORMAL_DAYS = 2
"""Days of `tumours` until its rows move."""
_TEXTURE = 1.35
"""By how much `mean_texture` and `worst_texture` are larger from then on: another microscope."""
_LABELS_AFTER = 2
"""Days until the labels of `tumours` and of `progression` come."""
_UNLABELLED_MINUTES = 60
"""Labels of `cultivars` have come for requests made earlier than so many minutes before now."""
_APPROVAL = "release: {approve: [approver]}  # visits are planned by it: somebody else looks first\n"
_SEED = 1
"""Of the order of the rows."""


@dataclass(frozen=True, kw_only=True)
class ShippedLine:
    """A line on a data set, and what a person knows about it that `new` cannot see."""

    line: str
    label: str
    positive: str | None = None
    key: str
    rows: int
    """Rows to train on; requests get most of the others while it serves."""
    a_day: int
    """Rows that are requested on each day."""
    test: float = 0.2
    """Share of the test part."""
    load: Callable[[], Any]
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Plain names of columns, by their names in the data set."""
    head: str
    """In place of what `new` says that the line is about."""
    exclude: tuple[str, ...] = ()
    """Columns that the first model may not read."""
    sections: tuple[str, ...]
    """At the end of the file."""

    def frame(self) -> pl.DataFrame:
        """Return all rows, in an order that tells nothing, with the key first and the label last."""
        found = self.load()
        names = [self.columns.get(name, name) for name in map(_plain, found.feature_names)]
        columns = {name: found.data[:, place].tolist() for place, name in enumerate(names)}
        if hasattr(found, "target_names"):
            columns[self.label] = [str(found.target_names[code]) for code in found.target]
        else:
            columns[self.label] = found.target.tolist()
        frame = pl.DataFrame(columns).sample(fraction=1.0, shuffle=True, seed=_SEED)
        keys = [f"{self.key[0]}{number:04}" for number in range(1, frame.height + 1)]
        return frame.insert_column(0, pl.Series(self.key, keys))


TUMOURS = ShippedLine(
    line="tumours",
    label="diagnosis",
    positive="malignant",
    key="sample",
    rows=400,
    a_day=30,
    load=shipped.load_breast_cancer,
    head="""about: "Tell malignant from benign breast tumours by the nuclei of cells, so that a doctor looks at the right ones first"
goal: Earlier diagnosis
owner: ada
tags: [clinic, pathology]""",
    sections=(
        "value: {currency: EUR, false_positive: -400, false_negative: -1600}  # a needless biopsy, a tumour that is found late",
        "watch: {every: 1d, drift: {windows: 2}}",
        "retrain: {when: [drift, performance], cooldown: 1d}",
    ),
)
PROGRESSION = ShippedLine(
    line="progression",
    label="progression",
    key="patient",
    rows=382,
    a_day=10,
    test=0.3,
    load=partial(shipped.load_diabetes, scaled=False),
    columns={
        "bp": "blood_pressure",
        "s1": "cholesterol",
        "s2": "ldl",
        "s3": "hdl",
        "s4": "cholesterol_ratio",
        "s5": "log_triglycerides",
        "s6": "glucose",
    },
    head="""about: "Predict how far diabetes will have progressed in a year, so that visits are planned for those who need them"
goal: Earlier diagnosis
owner: ada
tags: [clinic, diabetes]""",
    exclude=("bmi", "log_triglycerides", "blood_pressure", "cholesterol_ratio"),
    sections=("watch: {every: 1d}",),
)
CULTIVARS = ShippedLine(
    line="cultivars",
    label="cultivar",
    key="bottle",
    rows=130,
    a_day=2,
    test=0.35,
    load=shipped.load_wine,
    columns={"od280/od315_of_diluted_wines": "od280_od315"},
    head="""about: "Tell from which of three cultivars a wine is, by its chemical analysis, so that labels can be trusted"
goal: Trusted labels
owner: lee
tags: [winery, quality]""",
    exclude=("proline", "flavanoids", "color_intensity", "od280_od315", "hue"),
    sections=(
        "release: {rollout: canary, steps: [0.25, 1.0], bake: 7d}  # a week with a quarter of the bottles, then all",
        "watch: {every: 1d}",
    ),
)
LINES = (TUMOURS, PROGRESSION, CULTIVARS)
CHEAP = (
    "worst_",
    "mean_radius",
    "mean_perimeter",
    "mean_area",
    "mean_conca",
    "mean_compactness",
    "radius",
    "perimeter",
    "area",
    "conca",
    "compactness",
)
"""How names of columns of `tumours` begin that a cheaper measurement would do without; its candidate is refused."""


def begin_of(now: datetime) -> datetime:
    """Return when the lines begin, given the present: some mornings before."""
    return _midnight(now) - timedelta(days=DAYS) + timedelta(hours=9)


class DemoLines(Protocol):
    """One or more lines of a task beyond tables, which live the same week."""

    lines: tuple[str, ...]

    def begin(self) -> None:
        """Write their data and files, and let their first models serve."""
        ...

    def day(self, client: Client, number: int) -> None:
        """Let requests and labels of a day come in; days are counted from 0, and there are `DAYS` - 1."""
        ...


def live(
    factory: Factory,
    engineer: Factory,
    clock: Clock,
    *,
    now: datetime,
    others: Sequence[DemoLines] = (),
) -> None:
    """Make the lines, and live the week up to now."""
    rows = {one.line: _begin(factory, one) for one in LINES}
    for one in others:
        one.begin()
    week = _Week(factory, engineer, clock, now, rows, others)
    with endpoint(factory) as url, Client(url) as client:
        for line in week.lines:
            if champion := factory.metadata.pointer(line).champion:
                wait_for(client, f"{line}@{champion}")
        for before in range(DAYS - 1, 0, -1):
            week.day(client, _midnight(now) - timedelta(days=before), DAYS - 1 - before)
    week.begin_rollout()
    with endpoint(factory) as url, Client(url) as client:
        wait_for(client, f"{CULTIVARS.line}@1")
        week.try_candidate(client)
    week.propose_promotion()
    keep_account(factory, factory.line(TUMOURS.line))
    clock.at = now


def _begin(factory: Factory, one: ShippedLine) -> list[dict[str, Any]]:
    """Write the data and the file of a line, and let its first model serve; return the rows for later requests."""
    frame, data = one.frame(), factory.root / "data" / f"{one.line}.csv"
    make_asked_folder(data.parent)
    frame.head(one.rows).write_csv(data)
    made = new_line(
        factory.root, one.line, data, GivenRoles(label=one.label, positive=one.positive, key=one.key)
    )
    path = Path(made.path)
    path.write_text(_declared(path.read_text(encoding="utf-8"), one), encoding="utf-8")
    run_first(factory, one.line)
    return frame.tail(-one.rows).to_dicts()


@dataclass
class _Week:
    factory: Factory
    engineer: Factory
    clock: Clock
    now: datetime
    rows: Mapping[str, list[dict[str, Any]]]
    """Of each line, the rows for the next requests, with their labels."""
    others: Sequence[DemoLines]
    unlabelled: dict[str, list[list[dict[str, Any]]]] = field(
        default_factory=lambda: {one.line: [] for one in LINES}
    )
    """Of each line, the rows of each day whose labels have not come."""

    @property
    def lines(self) -> list[str]:
        """Names of all lines that live the week."""
        return [*(one.line for one in LINES), *(line for one in self.others for line in one.lines)]

    def day(self, client: Client, midnight: datetime, number: int) -> None:
        """Live through one day: requests and labels come in, and at its end the lines are tended."""
        for hour, one in enumerate(LINES, start=10):
            self._at(midnight + timedelta(hours=hour))
            asked = self._take(one, one.a_day)
            if one is TUMOURS and number >= NORMAL_DAYS:
                asked = [_moved(row) for row in asked]
            self._ask(client, one, asked)
        for other in self.others:
            self._at(midnight + timedelta(hours=14))
            other.day(client, number)
        self._at(midnight + timedelta(hours=16))
        for one in (TUMOURS, PROGRESSION):
            if number >= _LABELS_AFTER:
                self._label(client, one, self.unlabelled[one.line].pop(0))
        if number == 0:
            self._try_cheaper()
        self._at(midnight + timedelta(days=1, seconds=1))
        for line in self.lines:
            tend_inline(self.factory, line)

    def begin_rollout(self) -> None:
        """Let a candidate of `cultivars` pass its gate: its canary begins."""
        self._at(self.now - timedelta(hours=3))
        _rewrite(self.engineer, CULTIVARS, _without_exclude)
        execute_inline(self.engineer, CULTIVARS.line)

    def try_candidate(self, client: Client) -> None:
        """Send requests while the candidate is tried; the labels of most of them come."""
        for minutes in range(150, 30, -10):
            self._at(self.now - timedelta(minutes=minutes))
            asked = self._take(CULTIVARS, 3)
            self._ask(client, CULTIVARS, asked)
            if minutes > _UNLABELLED_MINUTES:
                self._label(client, CULTIVARS, asked)

    def propose_promotion(self) -> None:
        """Let a candidate of `progression` pass its gate, where somebody has to approve promotions by now."""
        self._at(self.now - timedelta(minutes=25))
        _rewrite(self.engineer, PROGRESSION, lambda text: _without_exclude(text) + _APPROVAL)
        execute_inline(self.engineer, PROGRESSION.line)

    def _try_cheaper(self) -> None:
        """Try without the columns that cost most; the file is what it was when the candidate is refused."""
        path = self.engineer.path_of(TUMOURS.line)
        before = path.read_text(encoding="utf-8")
        names = [name for name in TUMOURS.frame().columns if name.startswith(CHEAP)]
        _rewrite(self.engineer, TUMOURS, lambda text: _with_exclude(text, names))
        execute_inline(self.engineer, TUMOURS.line)
        path.write_text(before, encoding="utf-8")
        execute_inline(
            self.engineer, TUMOURS.line
        )  # computes nothing: the record says that the champion holds

    def _at(self, wanted: datetime) -> None:
        """Set the clock; it is never set back, however early in the day it is."""
        self.clock.at = min(self.now, max(self.clock.at, wanted))

    def _take(self, one: ShippedLine, count: int) -> list[dict[str, Any]]:
        rows = self.rows[one.line]
        taken, rows[:count] = rows[:count], []
        return taken

    def _ask(self, client: Client, one: ShippedLine, asked: list[dict[str, Any]]) -> None:
        client.predict(one.line, [{name: row[name] for name in row if name != one.label} for row in asked])
        self.unlabelled[one.line].append(asked)

    def _label(self, client: Client, one: ShippedLine, asked: Sequence[Mapping[str, Any]]) -> None:
        client.feedback(one.line, [{"key": row[one.key], "label": row[one.label]} for row in asked])


def _moved(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value * _TEXTURE if name in {"mean_texture", "worst_texture"} else value
        for name, value in row.items()
    }


def _plain(name: str) -> str:
    return str(name).replace(" ", "_")


# Line files


def _declared(drafted: str, one: ShippedLine) -> str:
    """Return what `new` wrote, with what only a person can know."""
    kept = [
        line
        for line in drafted.splitlines()
        if not line.startswith(("# label:", "# value:", "# release:", "# watch:", "# retrain:"))
    ]
    text = "\n".join([*kept, *one.sections, ""])
    text = _replaced(text, 'about: "', one.head)
    text = _replaced(text, "  budget: ", "  budget: quick  # so that it takes seconds; `normal` tries more")
    text = text.replace("test: 0.2}", f"test: {one.test}}}", 1)
    return _with_exclude(text, one.exclude) if one.exclude else text


def _replaced(text: str, begin: str, line: str) -> str:
    """Return a text whose first line that begins so is another one."""
    lines = text.splitlines()
    place = next(place for place, one in enumerate(lines) if one.startswith(begin))
    return "\n".join([*lines[:place], line, *lines[place + 1 :], ""])


def _with_exclude(text: str, names: Sequence[str]) -> str:
    return text.replace(
        "\ntable:\n", f"\ntable:\n  exclude: [{', '.join(names)}]  # these cost most to measure\n", 1
    )


def _without_exclude(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("  exclude: "))


def _rewrite(factory: Factory, one: ShippedLine, change: Callable[[str], str]) -> None:
    path = factory.path_of(one.line)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
