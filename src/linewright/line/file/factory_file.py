"""The file `factory.yaml`, which makes a folder a factory."""

import os
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, assert_never

from pydantic import Field

from linewright.errors import LinewrightError, RequestError, SpecError
from linewright.line.file.mistakes import EnoughError, Mistake, Mistakes, did_you_mean, dotted
from linewright.line.file.retention import LONGEST, wrong_ages
from linewright.line.file.secret_refs import check_secrets
from linewright.line.file.validate import fit_spec
from linewright.line.file.yaml_nodes import Entries, find, read_nodes, read_text
from linewright.line.spec import LINE_NAME, KeepSpec
from linewright.people.spec import (
    ORIGIN,
    ApproveSpec,
    AuditSpec,
    CostsSpec,
    DestinationSpec,
    GoalSpec,
    LineageSpec,
    Notify,
    SignInSpec,
)
from linewright.serve.limits import CONCURRENT, AllLimits, Limits
from linewright.serve.models.memory import to_bytes, usual_budget
from linewright.spec import Secret, Spec
from linewright.store.files.rights import as_asked, make_asked_folder
from linewright.text.database_url import HOST

FACTORY_FILE = "factory.yaml"

SIZE = r"^\d+(\.\d+)? ?[KMGT]i?B$"
"""A size in bytes, as text."""
_SHARE = 0.75
"""Of the memory of the machine, what a run may take where nobody says how much."""

_TEXT = """\
# A Linewright factory: its lines are declared in lines/, all state is in .linewright/.
format: 1
"""


LineName = Annotated[str, Field(pattern=LINE_NAME)]
Size = Annotated[str, Field(pattern=SIZE)]


class LimitsSpec(Spec):
    """How much clients may ask of the endpoint; more is refused with 429. What is not said is without limit."""

    concurrent_requests: Annotated[int, Field(ge=1)] | None = None
    """Requests whose body has come, that are answered at one time."""
    rows_per_second: Annotated[float, Field(gt=0)] | None = None
    """Rows a second in the long run; a second's worth may come at once."""
    log_bytes_per_day: Size | None = None
    """What the prediction log may grow by in a day of UTC, e.g. ``20GiB``."""

    def of_one(self, *, where: str) -> Limits:
        """Return them as an endpoint takes them."""
        size = self.log_bytes_per_day
        return Limits(
            concurrent_requests=self.concurrent_requests,
            rows_per_second=self.rows_per_second,
            log_bytes_per_day=None if size is None else to_bytes(size, where=f"{where}: log_bytes_per_day"),
        )


class FactoryLimitsSpec(LimitsSpec):
    """How much clients may ask of the endpoint, of all lines together and of one; more is refused with 429."""

    concurrent_requests: Annotated[int, Field(ge=1)] | None = CONCURRENT
    """Requests whose body has come, that are answered at one time; `null` is without limit."""
    lines: dict[LineName, LimitsSpec] = Field(default_factory=dict[str, LimitsSpec])
    """Limits of single lines, by name."""
    control_requests_per_second: Annotated[float, Field(gt=0)] | None = 50.0
    """Requests of one member or token to the control plane in the long run; four seconds' worth may come at once. `null` is without limit."""
    needs_token: bool = False
    """Whether each request must carry a token that covers it (`linewright token create`); else only what carries one is held to it."""

    def to_limits(self, *, where: str) -> AllLimits:
        """Return them as an endpoint takes them."""
        lines = {name: one.of_one(where=f"{where}: lines: {name}") for name, one in self.lines.items()}
        return AllLimits(together=self.of_one(where=where), lines=lines, needs_token=self.needs_token)


def _at_once() -> int:
    return max(2, (os.cpu_count() or 1) // 2)


class CorsSpec(Spec):
    """Which pages of other sites may ask the servers, by a token; cookies count from none."""

    origins: tuple[Annotated[str, Field(pattern=ORIGIN)], ...] = ()
    """Exact origins, as browsers send them: `https://HOST`, `https://HOST:PORT`, or `http://localhost:PORT` on a developer's machine."""


class RunLimits(Spec):
    """What each run may take: it is carried out in a process of its own."""

    memory: Size | None = None
    """Memory of the process, e.g. ``8GiB``: heap, stacks and private mappings. `None` is three quarters of the memory of the machine or
    control group."""
    idle_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    """Seconds without progress after which a process is ended that takes less than a hundredth of a processor, with all that it starts. A
    training tells of each model that it has fitted."""
    busy_s: Annotated[float, Field(ge=1, le=604_800)] = 21_600.0
    """Seconds without progress after which a process is ended that computes."""
    priority: Literal["auto", "low", "normal"] = "auto"
    """How runs and what is scheduled share processors with others. `low`: they stand back. `normal`: they are as what started them. `auto`:
    normal until an endpoint of this factory lives, then low to their end."""
    at_once: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=_at_once)
    """Runs that are carried out at a time, each of another line (default: 2, or half of the processors where that is more). A run that
    shows no progress for 10 seconds is not counted."""
    cores: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Processors of runs and, under `up`, of the control plane; the endpoint has the others (default: all are shared). Linux only."""

    def gives_way(self, *, is_beside_endpoint: bool) -> bool:
        """Return whether a process stands back, given whether an endpoint of the factory lives."""
        match self.priority:
            case "auto":
                return is_beside_endpoint
            case "low":
                return True
            case "normal":
                return False
            case _:
                assert_never(self.priority)

    @property
    def bytes(self) -> int:
        """The memory of the process, in bytes."""
        if self.memory is None:
            return usual_budget(share=_SHARE)
        return to_bytes(self.memory, where=f"{FACTORY_FILE}: runs.memory")


class FeaturesSpec(Spec):
    """Where feature views have the rows that were sent and the records that requests need."""

    store: Secret
    """`env:NAME` or `file:PATH` of the URL of a PostgreSQL that all machines of the factory share: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
    Everything is in its schema ``linewright``."""


class FactoryFile(Spec):
    """What `factory.yaml` says about the whole folder."""

    format: Literal[1]
    """Version of the folder's form."""
    about: str = ""
    """One sentence for people."""
    model_memory: Size | None = None
    """What the loaded models of all lines may take in all processes of the endpoint, e.g. ``2GiB``; ``--model-memory`` goes before
    it. `None` is half of the memory of the machine or control group."""
    limits: FactoryLimitsSpec = FactoryLimitsSpec()
    """How much clients may ask of the endpoint."""
    runs: RunLimits = RunLimits()
    """What each run may take."""
    notify: Notify = Field(default_factory=dict[str, DestinationSpec])
    """Who is told of what happens in all lines, by a name of your own."""
    lineage: LineageSpec | None = None
    """Who gets the lineage of runs (default: nobody)."""
    audit: AuditSpec | None = None
    """Signed checkpoints of the record (default: none are made)."""
    sign_in: SignInSpec | None = None
    """How members sign in, beside passwords (default: passwords alone)."""
    keep: KeepSpec = KeepSpec()
    """For how long log, datasets and runs are kept, of lines that do not say it themselves."""
    costs: CostsSpec | None = None
    """What work costs (default: costs are not counted)."""
    goals: tuple[GoalSpec, ...] = ()
    """What lines are to reach together."""
    approve: ApproveSpec = ApproveSpec()
    """Who may approve what members ask of the whole factory."""
    hosts: tuple[Annotated[str, Field(pattern=HOST)], ...] = ()
    """Servers whose databases sources may be read from: names, addresses, or folders of sockets. One of this machine or a link-local address
    is read from only if that itself is named, as `localhost`, say (default: none)."""
    features: FeaturesSpec | None = None
    """Where feature views have what machines share (default: in the folder of the factory)."""
    cors: CorsSpec = CorsSpec()
    """Which pages of other sites may ask the servers (default: none)."""


def read_factory_file(root: Path) -> FactoryFile:
    """Read the `factory.yaml` of a folder."""
    path = root / FACTORY_FILE
    outcome = _parsed(read_text(path), str(path))
    if isinstance(outcome, SpecError):
        raise SpecError(**outcome.to_parts())  # another one each time: who catches it may change it
    return outcome


@lru_cache(maxsize=16)
def _parsed(text: str, name: str) -> FactoryFile | SpecError:
    # The value is frozen and follows from the text alone.
    try:
        return parse_factory_file(text, name=name)
    except SpecError as error:
        return SpecError(**error.to_parts())  # without the frames that it was raised in


def parse_factory_file(text: str, *, name: str) -> FactoryFile:
    """Return what the text of a `factory.yaml` says."""
    mistakes = Mistakes(name, whole="the file of the factory")
    spec = None
    with suppress(EnoughError):
        nodes = read_nodes(text, mistakes)
        if nodes:
            check_secrets(nodes, mistakes)
        spec = fit_spec(FactoryFile, nodes, mistakes) if nodes else None
        if nodes and spec:
            keep = spec.keep
            for place, what, found in wrong_ages(keep):
                node = find(nodes, place) or nodes
                mistakes.add(
                    Mistake(
                        path=dotted(place),
                        line=node.line,
                        column=node.column,
                        what=what,
                        found=found,
                        allowed=f"a longer one, e.g. 90d, and at most {LONGEST}",
                    )
                )
            _check_lineage(spec, nodes, mistakes)
    mistakes.raise_if_any()
    assert spec is not None  # noqa: S101 -- without a mistake there is a spec
    return spec


def _check_lineage(spec: FactoryFile, root: Entries, mistakes: Mistakes) -> None:
    lineage = spec.lineage
    if lineage is None or lineage.file is not None or lineage.host in {one.lower() for one in spec.hosts}:
        return
    node = find(root, ("lineage", "openlineage")) or root
    mistakes.add(
        Mistake(
            path="lineage.openlineage",
            line=node.line,
            column=node.column,
            what="the host is not among those that may be connected to",
            found=lineage.host,
            allowed=", ".join(spec.hosts) or "none yet",
            hint=f"write hosts: [{lineage.host}] in {FACTORY_FILE}",
        )
    )


def strange_limits(root: Path, spec: FactoryFile, lines: Collection[str]) -> list[LinewrightError]:
    """Return what is wrong with the limits of a `factory.yaml` beyond its form: sizes that are too small, lines that are not there."""
    where = f"{root / FACTORY_FILE}: limits"
    found: list[LinewrightError] = [
        SpecError(
            "there is no such line, so that nothing is limited by this",
            where=f"{where}: lines",
            found=name,
            allowed=", ".join(sorted(lines)) or "no line: there is none yet",
            hint=did_you_mean(name, lines) or "name a line that there is, or take it out",
        )
        for name in spec.limits.lines
        if name not in lines
    ]
    try:
        spec.limits.to_limits(where=where)
    except RequestError as error:
        found.append(error)
    return found


def write_factory_file(root: Path) -> None:
    """Make a folder a factory; a `factory.yaml` that is there is left as it is."""
    make_asked_folder(root)
    try:
        with os.fdopen(
            os.open(root / FACTORY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w"
        ) as file:
            file.write(_TEXT)
        as_asked(root / FACTORY_FILE)
    except FileExistsError:
        return
