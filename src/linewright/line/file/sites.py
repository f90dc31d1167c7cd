"""Sites of a line file: one template, and what differs by site; each site is an ordinary line ``LINE.SITE``."""

import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from linewright.errors import LinewrightError
from linewright.line.file.mistakes import EnoughError, Mistake, Mistakes, did_you_mean
from linewright.line.file.yaml_nodes import Entries, Items, Node, Scalar, read_nodes, read_text
from linewright.store.clock import now_utc
from linewright.store.files.names import ENDING
from linewright.store.files.stamps import Stamp, is_young, stamp_at

SITES = "sites"
SITE_TAG = "site:"
"""What the tag begins with that each line of a site has, as in ``site:lyon``."""
REST = "rest"
"""In rings, the sites that no ring before names; no site is named so."""
_SITE = re.compile(r"[a-z0-9-]{1,63}")
_OF_TEMPLATE = ("line", SITES)
_REMEMBERED = 4_096
"""Files whose lines are remembered: more than one factory has."""
_BLOCK = re.compile(
    rf"^{SITES}:[ \t]*(#[^\n]*)?\n(?P<block>([ \t]*(#[^\n]*)?\n|[ \t]+[^\n]*\n?)*)", re.MULTILINE
)
_KEY = re.compile(r"^(?P<indent> +)(?P<site>[a-z0-9-]{1,63}):(\s|$)", re.MULTILINE)


def site_of(path: Path, line: str) -> str:
    """Return the site of a line that a file declares; empty if the line is the file's only one.

    Examples
    --------
    >>> site_of(Path("lines/inspect.yaml"), "inspect.lyon"), site_of(Path("lines/claims.yaml"), "claims")
    ('lyon', '')
    """
    return line.removeprefix(path.stem).removeprefix(".")


def site_nodes(root: Entries, site: str, mistakes: Mistakes) -> Entries | None:
    """Return what a file says about one of its sites, as nodes that know their place; the file's own where `site` is empty.

    Mappings of the site are merged into those of the template; all else replaces what stands there. The line gets the tag
    ``site:SITE``.
    """
    declared = root.entries.get(SITES)
    if not site:
        if declared is not None:
            _wrong(
                mistakes,
                declared[0],
                "a file with 'sites' declares a line for each, and no line of its name",
                hint=_such_as(root),
            )
            return None
        return root
    overrides = _overrides(declared, site, mistakes)
    if overrides is None:
        return None
    is_right = _check_rings(root, mistakes)
    for word in _OF_TEMPLATE:
        if word in overrides.entries:
            is_right = False
            _wrong(
                mistakes,
                overrides.entries[word][0],
                f"{word!r} is the same for all sites",
                path=f"{SITES}.{site}.{word}",
                hint="remove it here",
            )
    _, release = overrides.entries.get("release", (None, None))
    if isinstance(release, Entries) and "rings" in release.entries:
        is_right = False
        _wrong(
            mistakes,
            release.entries["rings"][0],
            "the rings are the same for all sites",
            path=f"{SITES}.{site}.release.rings",
            hint="remove them here",
        )
    if not is_right:
        return None
    template = Entries(
        line=root.line,
        column=root.column,
        entries={word: pair for word, pair in root.entries.items() if word != SITES},
    )
    merged = _merged(template, overrides)
    if (line := merged.entries.get("line")) is not None and isinstance(line[1], Scalar):
        name = line[1]
        full = Scalar(line=name.line, column=name.column, text=f"{name.text}.{site}", is_plain=name.is_plain)
        merged.entries["line"] = (line[0], full)
    _add_tag(merged, site, root)
    return merged


def _overrides(declared: tuple[Scalar, Node] | None, site: str, mistakes: Mistakes) -> Entries | None:
    if declared is None:
        mistakes.add(Mistake(path="", line=1, column=1, what="the file has no sites", found=site))
        return None
    key, sites = declared
    if not isinstance(sites, Entries):
        _wrong(
            mistakes,
            key,
            "'sites' must be a mapping",
            found=sites.shown,
            allowed="names of sites, each with what differs there",
        )
        return None
    if site not in sites.entries:
        names = list(sites.entries)
        _wrong(
            mistakes,
            key,
            "the template has no such site",
            found=site,
            allowed=", ".join(names),
            hint=did_you_mean(site, names),
        )
        return None
    name, says = sites.entries[site]
    if not _SITE.fullmatch(site) or site == REST:
        _wrong(
            mistakes,
            name,
            "this cannot be the name of a site",
            found=site,
            allowed=f"1 to 63 small letters, digits and hyphens, and not {REST!r}",
        )
        return None
    if isinstance(says, Scalar) and says.value is None:
        return Entries(line=says.line, column=says.column)
    if not isinstance(says, Entries):
        _wrong(
            mistakes,
            name,
            f"'sites.{site}' must be a mapping",
            found=says.shown,
            allowed="sections of a line file, with what differs here",
        )
        return None
    return says


def _check_rings(root: Entries, mistakes: Mistakes) -> bool:
    """Note what is wrong with the names in the rings of a template, and return whether nothing is; their form is fitted elsewhere."""
    rings, (key, sites) = _rings(root), root.entries[SITES]
    if rings is None or not isinstance(sites, Entries):
        return True
    before, names, seen, last = len(mistakes.found), list(sites.entries), set[str](), rings.items[-1:]
    for ring in rings.items:
        named = ring.items if isinstance(ring, Items) else [ring]
        for one in named:
            if not isinstance(one, Scalar) or (one.text == REST and ring is one and [one] == last):
                continue
            if one.text == REST:
                _wrong(mistakes, one, f"{REST!r} is the last ring, and not in a list", path="release.rings")
            elif one.text not in names:
                hint = did_you_mean(one.text, names)
                _wrong(
                    mistakes,
                    one,
                    "the template has no such site",
                    found=one.text,
                    allowed=", ".join(names),
                    hint=hint,
                    path="release.rings",
                )
            elif one.text in seen:
                _wrong(mistakes, one, "the site is in two rings", found=one.text, path="release.rings")
            seen.add(one.text)
    left_out = [name for name in names if name not in seen]
    if left_out and not (last and isinstance(last[0], Scalar) and last[0].text == REST):
        _wrong(
            mistakes,
            key,
            "sites are in no ring",
            found=", ".join(left_out),
            hint=f"add them to a ring, or end the rings with {REST}",
            path="release.rings",
        )
    return len(mistakes.found) == before


def _rings(root: Entries) -> Items | None:
    _, release = root.entries.get("release", (None, None))
    _, rings = release.entries.get("rings", (None, None)) if isinstance(release, Entries) else (None, None)
    return rings if isinstance(rings, Items) else None


def _wrong(
    mistakes: Mistakes,
    at: Scalar,
    what: str,
    *,
    found: str | float | None = None,
    allowed: str = "",
    hint: str = "",
    path: str = SITES,
) -> None:
    mistakes.add(
        Mistake(path=path, line=at.line, column=at.column, what=what, found=found, allowed=allowed, hint=hint)
    )


def _such_as(root: Entries) -> str:
    name, (_, sites) = root.entries.get("line"), root.entries[SITES]
    line = name[1].text if name and isinstance(name[1], Scalar) else "LINE"
    site = next(iter(sites.entries), "SITE") if isinstance(sites, Entries) else "SITE"
    return f"name the line of a site, such as {line}.{site}"


def _merged(template: Entries, site: Entries) -> Entries:
    entries = dict(template.entries)
    for word, (key, says) in site.entries.items():
        before = entries.get(word)
        if before is not None and isinstance(before[1], Entries) and isinstance(says, Entries):
            says = _merged(before[1], says)  # noqa: PLW2901 -- what is merged stands for it
        entries[word] = (key, says)
    return Entries(line=site.line, column=site.column, entries=entries)


def _add_tag(merged: Entries, site: str, root: Entries) -> None:
    key, says = merged.entries.get("tags", (None, None))
    if key is not None and not isinstance(says, Items):
        return  # the check of the section says so
    at = key or root.entries[SITES][0]
    tag = Scalar(line=at.line, column=at.column, text=f"{SITE_TAG}{site}", is_plain=False)
    given = [
        one
        for one in (says.items if isinstance(says, Items) else [])
        if not (isinstance(one, Scalar) and one.text == tag.text)
    ]
    named = Scalar(line=at.line, column=at.column, text="tags", is_plain=False)
    merged.entries["tags"] = (key or named, Items(line=at.line, column=at.column, items=[*given, tag]))


# Which lines files declare


def declared_lines(folder: Path) -> list[str]:
    """Return the names of the lines that the files of a folder declare, sorted; of a file without sites its own name."""
    found = list[str]()
    # As a pattern would find them, in a fraction of the time.
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as files:
        for each in files:
            name = each.name.removesuffix(ENDING)
            if name not in {each.name, ""}:
                found += _lines(each.path, name, stamp_at(each.path))
    return sorted(found)


def lines_of(path: Path, stamp: Stamp | None = None) -> tuple[str, ...]:
    """Return the names of the lines that a file declares, in its order; they are read once, until it changes."""
    return _lines(str(path), path.stem, stamp or stamp_at(path))


_READ: dict[str, tuple[Stamp, tuple[str, ...]]] = {}
"""The lines of files that cannot have changed since, by path."""


def _lines(path: str, name: str, stamp: Stamp | None) -> tuple[str, ...]:
    if stamp is None:  # gone, or a link that leads nowhere
        return (name,)
    if (known := _READ.get(path)) is not None and known[0] == stamp:
        return known[1]
    lines = tuple(f"{name}.{site}" for site in _sites(Path(path))) or (name,)
    if not is_young(stamp, datetime.fromisoformat(now_utc()).timestamp()):
        if len(_READ) >= _REMEMBERED:
            _READ.clear()
        _READ[path] = stamp, lines
    return lines


def _sites(path: Path) -> tuple[str, ...]:
    with suppress(LinewrightError, OSError):
        text = read_text(path)
        # Parsing takes long, and most files have no sites.
        return sites_in(text) if SITES in text else ()
    return ()


def sites_in(text: str) -> tuple[str, ...]:
    r"""Return the names of the sites in the text of a line file, as far as they are clear in one that is not readable.

    A name that no site can have stands for none of them.

    Examples
    --------
    >>> sites_in("line: a\nsites:\n  lyon: {}\n  turin: {}\n"), sites_in("line: a\nsites:\n  lyon: {\n")
    (('lyon', 'turin'), ('lyon',))
    """
    root = None
    with suppress(EnoughError):
        root = read_nodes(text, Mistakes(""))
    if root is None:
        block = _BLOCK.search(text)
        keys = list(_KEY.finditer(block["block"])) if block else []
        names = [one["site"] for one in keys if len(one["indent"]) == len(keys[0]["indent"])]
    else:
        _, sites = root.entries.get(SITES, (None, None))
        names = list(sites.entries) if isinstance(sites, Entries) else []
    return tuple(name for name in names if _SITE.fullmatch(name) and name != REST)
