"""Who is told of what happens: the destinations that `factory.yaml` and the line files name."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from linewright.capabilities.notifications.openlineage import KINDS as OF_RUNS
from linewright.capabilities.notifications.openlineage import lineage_message
from linewright.errors import LinewrightError, NotFound, SpecError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE, read_factory_file
from linewright.line.file.mistakes import did_you_mean
from linewright.line.file.sites import lines_of
from linewright.line.personal import personal_columns, without_personal
from linewright.people.messages import Message, kinds_of, message_of
from linewright.people.spec import DestinationSpec, EmailSpec, LineageSpec
from linewright.store.clock import text_of

_WORD = b"notify"
LINEAGE = "lineage/openlineage"
"""Name of the destination that `lineage` in `factory.yaml` declares."""
_MOST_BEFORE = timedelta(days=1)
_Read = Callable[[Factory, Path], "Iterator[Destination]"]


@dataclass(frozen=True, kw_only=True)
class Destination:
    """One receiver."""

    name: str
    """NAME of `factory.yaml`, LINE/NAME of a line file; of e-mail with /RECIPIENT behind it."""
    line: str | None
    """The line that it is told of; `None` is all."""
    spec: DestinationSpec | LineageSpec
    recipient: str | None = None
    """Of e-mail, who gets it."""
    where: str = "notify"
    """Where it is declared, for messages."""
    since: str = field(default="", compare=False)
    """When the file that declares it was changed last."""

    def first(self, factory: Factory) -> int:
        """Return the number of the event behind which it begins where it is new.

        What happened since its file was changed is told, so that nothing is missed before `up` sees it, though of no more than a day.
        """
        least = text_of(datetime.fromisoformat(factory.now()) - _MOST_BEFORE)
        return factory.metadata.newest_seq(by=max(self.since, least))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of events among which those are that it is told of."""
        return OF_RUNS if isinstance(self.spec, LineageSpec) else kinds_of(self.spec.on)

    def messages(self, factory: Factory, *, after: int) -> Iterator[Message]:
        """Iterate over what it is to be told that happened after an event of the record."""
        links = factory.metadata.links(after=after, kinds=self.kinds, line=self.line)
        for link in links:
            if isinstance(self.spec, LineageSpec):
                message = lineage_message(factory, link)
            else:
                message = message_of(link, factory.metadata, self.spec.on)
            if message is not None:  # nobody knows what who gets it may see
                yield without_personal(message, personal_columns(factory, link.line))


@dataclass
class Declared:
    """The destinations as they are declared, read again where a file has changed. Of a file that is wrong, as it was before."""

    factory: Factory
    _files: dict[Path, tuple[tuple[int, ...], tuple[Destination, ...]]] = field(
        default_factory=dict[Path, tuple[tuple[int, ...], tuple[Destination, ...]]]
    )
    wrong: dict[Path, str] = field(default_factory=dict[Path, str])
    """What is wrong with files, by path."""

    def read(self, *, lines: Collection[str] | None = None) -> Mapping[str, Destination]:
        """Return the destinations, by name; those of lines only of these (default: all)."""
        root = self.factory.root
        paths: dict[Path, _Read] = {root / FACTORY_FILE: _of_factory}
        files = (root / "lines").glob("*.yaml")
        wanted = None if lines is None else {line.partition(".")[0] for line in lines}
        paths |= {path: _of_lines for path in files if wanted is None or path.stem in wanted}
        for gone in self._files.keys() - paths.keys():
            del self._files[gone]
            self.wrong.pop(gone, None)
        for path, read in paths.items():
            try:
                found = path.stat()
            except OSError:
                continue
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            known = self._files.get(path)
            if known is not None and known[0] == stamp:
                continue
            try:
                since = text_of(datetime.fromtimestamp(found.st_mtime, UTC))
                self._files[path] = (
                    stamp,
                    tuple(replace(one, since=since) for one in read(self.factory, path)),
                )
                self.wrong.pop(path, None)
            except (LinewrightError, OSError) as error:
                self.wrong[path] = str(error)
        every = (one for _, found in self._files.values() for one in found)
        return {one.name: one for one in every if lines is None or one.line is None or one.line in lines}


def destinations(factory: Factory) -> list[Destination]:
    """Return all destinations that are declared, by name."""
    declared = Declared(factory)
    found = declared.read()
    for path, says in declared.wrong.items():
        raise SpecError(f"the file is wrong, so that nobody knows whom it names: {says}", where=str(path))
    return [found[name] for name in sorted(found)]


def chosen(factory: Factory, name: str | None) -> list[Destination]:
    """Return the destinations of a name, with all recipients; without a name all."""
    every = destinations(factory)
    found = [one for one in every if name is None or one.name == name or one.name.startswith(f"{name}/")]
    if not found:
        names = sorted({one.name for one in every})
        raise NotFound(
            "there is no such destination" if name is not None else "nobody is told of anything",
            where=str(factory.root / FACTORY_FILE),
            found=name,
            allowed=", ".join(names),
            hint=(name and did_you_mean(name, names))
            or "name one under `notify:`, such as {ops: {webhook: 'https://HOST/PATH', secret: 'env:NAME'}}",
        )
    return found


def _of_factory(factory: Factory, _: Path) -> Iterator[Destination]:
    for name, spec in read_factory_file(factory.root).notify.items():
        yield from _destinations(name, None, spec, f"{FACTORY_FILE}: notify.{name}")
    if (lineage := read_factory_file(factory.root).lineage) is not None:
        yield Destination(name=LINEAGE, line=None, spec=lineage, where=f"{FACTORY_FILE}: lineage")


def _of_lines(factory: Factory, path: Path) -> Iterator[Destination]:
    # Most lines name nobody, and parsing takes long.
    for line in lines_of(path) if _WORD in path.read_bytes() else ():
        for name, spec in (factory.line(line).notify or {}).items():
            yield from _destinations(f"{line}/{name}", line, spec, f"lines/{path.name}: notify.{name}")


def _destinations(name: str, line: str | None, spec: DestinationSpec, where: str) -> Iterator[Destination]:
    if isinstance(spec, EmailSpec):
        for recipient in dict.fromkeys(spec.email):
            yield Destination(
                name=f"{name}/{recipient}", line=line, spec=spec, recipient=recipient, where=where
            )
    else:
        yield Destination(name=name, line=line, spec=spec, where=where)
