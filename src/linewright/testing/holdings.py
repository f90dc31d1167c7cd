"""The contract of a holding, shipped for those who write another store of a factory."""

import re
from pathlib import Path
from typing import ClassVar

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.referenced_artifacts import unnamed
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.line.factory import Factory
from linewright.line.holding import Holding, References
from linewright.line.holdings.references import digests_in
from linewright.line.holdings.small_files import WorkingFiles
from linewright.line.holdings.table import holdings


class HoldingContract:
    """What every store of a factory must do.

    Subclass it, name the holding, and supply the fixture `factory`: an open `Factory` of the test's own in which it keeps something.
    """

    holding: ClassVar[type[Holding]]
    unproved: ClassVar[str] = ""
    """Why a change of its files need not be noticed; empty if `verify` notices it."""
    names_artifacts: ClassVar[bool] = False
    """Whether what it keeps in the factory of the test names stored bytes."""

    def change(self, factory: Factory) -> None:
        """Change what it keeps, as somebody with the files could: by default one bit in the middle of its first file."""
        path = self.files(factory)[0]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(content)

    def files(self, factory: Factory) -> list[Path]:
        """Return its files that are there, the longest first."""
        found = (path for path in factory.state.rglob("*") if path.is_file() and not path.is_symlink())
        held = self.holding()
        mine = [path for path in found if held.claims(path.relative_to(factory.state).as_posix())]
        return sorted(mine, key=lambda path: (-path.stat().st_size, path))

    def test_it_stands_in_the_table(self) -> None:
        """What cares for a factory walks the table: it would miss a store without a row."""
        assert [type(one) for one in holdings()].count(self.holding) == 1

    def test_its_files_are_its_own(self, factory: Factory) -> None:
        """Of two holdings with one file each could remove what the other needs."""
        names = [path.relative_to(factory.state).as_posix() for path in self.files(factory)]
        others = [one for one in holdings() if not isinstance(one, self.holding | WorkingFiles)]

        assert names
        assert {name: one.name for name in names for one in others if one.claims(name)} == {}

    def test_it_is_whole_if_nobody_changed_it(self, factory: Factory) -> None:
        """A check that complains without a reason is soon ignored."""
        assert list(verify_factory(factory).problems) == []

    def test_a_change_is_noticed(self, factory: Factory) -> None:
        """Else the factory could not prove what it says."""
        self.change(factory)

        assert bool(self.unproved) != bool(verify_factory(factory).problems)

    def test_what_it_names_stays(self, factory: Factory) -> None:
        """Bytes that it needs must outlive a `gc`."""
        stored = set(factory.artifacts.digests())
        texts = self.holding().references(References(factory, stored))
        named = {
            one for text in texts for one in digests_in(text if isinstance(text, str) else text.decode())
        }

        assert self.names_artifacts == bool(named & stored)
        assert set() == named & unnamed(factory, stored)

    def test_a_backup_brings_it_back(self, factory: Factory, tmp_path: Path) -> None:
        """A backup has just the files that the holding says, and they are whole in the factory that is restored from it."""
        form = re.compile(self.holding.kept or "(?!)")
        kept = {name for path in self.files(factory) if form.fullmatch(name := _below(factory, path))}
        made = make_backup(factory, tmp_path / "all.tar")
        restore_backup(Factory(tmp_path / "restored"), tmp_path / "all.tar")
        with Factory.open(tmp_path / "restored") as restored:
            there = {name for path in self.files(restored) if form.fullmatch(name := _below(restored, path))}
            problems = verify_factory(restored).problems

        assert made.problems == ()
        assert bool(self.holding.kept) == bool(kept)
        assert (kept, ()) == (there, problems)


def _below(factory: Factory, path: Path) -> str:
    return path.relative_to(factory.state).as_posix()
