"""The file `factory.yaml`, which makes a folder a factory."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from linewright.line.fit import fit_spec
from linewright.line.mistakes import Mistakes
from linewright.line.nodes import read_nodes, read_text
from linewright.line.spec import LINE_NAME
from linewright.serve.limits import CONCURRENT, AllLimits, Limits
from linewright.serve.memory import to_bytes
from linewright.spec import Spec
from linewright.store.rights import as_asked, make_asked_folder

FACTORY_FILE = "factory.yaml"

_TEXT = """\
# A Linewright factory: its lines are declared in lines/, all state is in .linewright/.
format: 1
"""


LineName = Annotated[str, Field(pattern=LINE_NAME)]
Size = Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")]


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

    def to_limits(self, *, where: str) -> AllLimits:
        """Return them as an endpoint takes them.

        Raises
        ------
        RequestError
            If a size is less than 1 MiB.
        """
        lines = {name: one.of_one(where=f"{where}: lines: {name}") for name, one in self.lines.items()}
        return AllLimits(together=self.of_one(where=where), lines=lines)


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


def read_factory_file(root: Path) -> FactoryFile:
    """Read the `factory.yaml` of a folder.

    Raises
    ------
    NotFound
        If there is none.
    SpecError
        If it is wrong; all mistakes are told, each with its place.
    """
    path = root / FACTORY_FILE
    mistakes = Mistakes(str(path))
    nodes = read_nodes(read_text(path), mistakes)
    spec = fit_spec(FactoryFile, nodes, mistakes) if nodes else None
    mistakes.raise_if_any()
    assert spec is not None  # noqa: S101 -- without a mistake there is a spec
    return spec


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
