"""What programs read of both servers, the pages of the console, and which packages commands load."""

import json
from typing import Any

import pytest
from console_pages import PAGES
from golden import compare, compare_json
from interpreter import printed_by
from small import LINE, make_factory

from linewright.interfaces.http.app import control_app
from linewright.line.factory import Factory
from linewright.model.package.model import load
from linewright.operations.table import OPERATIONS
from linewright.release.facts import Arm
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.http.openapi import to_openapi
from linewright.serve.models.state import Live
from linewright.serve.rows.scorer import Scorer

pytestmark = pytest.mark.usefixtures("processes")

_COMMANDS = (
    ["--help"],
    ["status"],
    ["models", LINE],
    ["plan"],
    ["run"],
    ["check"],
    ["history", LINE],
    ["verify"],
)
_MODULES = ("linewright", "linewright.client", "linewright.serve.http.app", "linewright.testing")


def lines_of(document: dict[str, Any]) -> str:
    """Write a description with a line for each method of a path, and for each schema."""
    components = document.pop("components")
    paths = document.pop("paths")
    parts = {f"{method} {path}": said for path, methods in paths.items() for method, said in methods.items()}
    parts |= {f"{kind} {name}": said for kind, named in components.items() for name, said in named.items()}
    parts |= document
    return "".join(
        f"{name}: {json.dumps(said, sort_keys=True, ensure_ascii=False)}\n"
        for name, said in sorted(parts.items())
    )


def test_the_description_of_the_control_plane_is_what_it_was():
    """Clients in other languages are made from it."""
    document = control_app(lambda _: None, OPERATIONS, authenticator=Authenticator("t" * 55)).openapi()

    compare("documents/control-plane.txt", lines_of(document))


def test_the_description_of_the_data_plane_is_what_it_was(tmp_path, tmp_path_factory):
    """With the columns of a line that serves."""
    with Factory.open(make_factory(tmp_path_factory, tmp_path / "factory")) as factory:
        (version,) = factory.metadata.versions(LINE)
        scorer = Scorer(load(version.digest, factory.artifacts.get))
    live = Live(line=LINE, arm=Arm(model=1, package=version.digest), generation=1, scorer=scorer)

    compare("documents/data-plane.txt", lines_of(dict(to_openapi({LINE: live}))))


def test_the_pages_of_the_console_are_what_they_were():
    """Who has a page in their bookmarks finds it."""
    found = {
        name: {
            "path": page.path,
            "permission": page.permission,
            "title": page.title,
            "group": page.group,
            "tab": page.tab,
        }
        for name, page in PAGES.items()
    }

    compare_json("documents/pages.json", found)


def test_commands_load_the_packages_that_they_loaded(tmp_path, tmp_path_factory):
    """A package that a command begins to load makes it slow for everybody, and nobody sees why."""
    factory = make_factory(tmp_path_factory, tmp_path / "factory")
    commands = {
        " ".join(words): _command([*words, "--factory", str(factory)] if words != ["--help"] else words)
        for words in _COMMANDS
    }
    modules = {f"import {name}": f"import {name}" for name in _MODULES}

    compare_json(
        "documents/packages.json", {name: _loaded(code) for name, code in (commands | modules).items()}
    )


def _command(words: list[str]) -> str:
    return (
        "import contextlib, io, sys\nfrom linewright.interfaces.cli import main\n"
        f"sys.argv = ['linewright', *{words}]\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main()"
    )


def _loaded(code: str) -> list[str]:
    """Return the packages outside of Python's library that a program has loaded."""
    also = (
        "\nimport sys\nfound = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*sorted(name for name in found - sys.stdlib_module_names - {'linewright', 'cython_runtime'} if not name.startswith('_')))"
    )
    return printed_by(code + also).splitlines()[-1].split()
