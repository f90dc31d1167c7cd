"""The pages on which members get in: plain forms, without scripts and without anything from elsewhere."""

import re
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.environment import Template

from linewright.interfaces.console.render import version_of
from linewright.interfaces.http.open_routes import AT_PROVIDER, JOIN_PAGE, SIGN_IN_PAGE
from linewright.serve.access.passwords import SHORTEST

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
"""A page loads nothing, sends forms to this server alone, is shown in no frame, and tells no other its address."""
_CODE = re.compile(r"lw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


class _Field(NamedTuple):
    name: str
    label: str
    type: str
    autocomplete: str = "off"
    value: str = ""
    least: int = 0


def sign_in_page(*, name: str = "", problem: str = "", provider: str = "", to: str = "/") -> str:
    """Return the page with a form for name and password, a link to a provider, and what was wrong with the try before."""
    return _rendered(
        title="Sign in",
        link=AT_PROVIDER if provider else "",
        provider=provider,
        action=SIGN_IN_PAGE,
        problem=problem,
        button="Sign in",
        fields=(
            _Field("name", "Name", "text", "username", name[:63]),
            _Field("password", "Password", "password", "current-password"),
            *((_Field("next", "", "hidden", value=to),) if to != "/" else ()),
        ),
    )


def owner_page(*, code: str, to: str = "/", problem: str = "") -> str:
    """Return the page with a button that signs the owner in; what cannot be a code is not repeated."""
    return _rendered(
        title="Open the console",
        action=SIGN_IN_PAGE,
        problem=problem,
        button="Open",
        fields=(
            _Field("code", "", "hidden", value=code if _CODE.fullmatch(code) else ""),
            *((_Field("next", "", "hidden", value=to),) if to not in {"", "/"} else ()),
        ),
    )


def used_page(*, problem: str = "") -> str:
    """Return the page of an invitation that lets nobody in."""
    return _rendered(
        title="Choose a password",
        problem=problem,
        says=("Ask who sent you this link for another. If you have a password already, sign in with it.",),
        to=(SIGN_IN_PAGE, "Sign in"),
    )


def joined_page(*, name: str, problem: str = "") -> str:
    """Return the page of somebody who has chosen a password, and is signed in unless there is a problem."""
    says = f"Your password is saved, and your name here is {name}: sign in with both the next time."
    return _rendered(
        title="Welcome",
        problem=problem,
        says=(says,),
        to=(SIGN_IN_PAGE, "Sign in") if problem else ("/", "Open the console"),
    )


def join_page(*, says: str, invitation: str, problem: str = "") -> str:
    """Return the page with a form for a new password; what cannot be a code is not repeated."""
    return _rendered(
        title="Choose a password",
        action=JOIN_PAGE,
        problem=problem,
        says=(says,),
        button="Choose",
        fields=(
            _Field("invitation", "", "hidden", value=invitation if _CODE.fullmatch(invitation) else ""),
            _Field(
                "password",
                f"Password, at least {SHORTEST} characters",
                "password",
                "new-password",
                least=SHORTEST,
            ),
            _Field("again", "The same again", "password", "new-password", least=SHORTEST),
        ),
    )


def code_page(*, code: str, problem: str = "") -> str:
    """Return the page with a code that goes into a terminal."""
    return _rendered(title="Sign in at a terminal", code=code, problem=problem)


def _rendered(*, title: str, **values: object) -> str:
    given = {"fields": (), "link": "", "code": "", "problem": "", "says": (), "to": None, **values}
    return _page().render(title=title, version_of=version_of, **given)


@cache
def _page() -> Template:
    environment = Environment(
        loader=PackageLoader("linewright.interfaces.http", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")
