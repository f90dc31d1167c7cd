"""Signing in to a factory that is up, and out of it: programs that ask a person at the terminal."""

from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.declare import NextProgram, operation

_PROGRAM = "linewright.interfaces.cli.login"


@operation(permission="view", effect="act", local=True, anywhere=True)
def login(
    factory: Factory,
    url: str,
    /,
    *,
    name: str | None = None,
    invitation: str | None = None,
    browser: bool = False,
) -> NextProgram:
    """Sign in to a factory that is up, here or elsewhere.

    It prompts for the password, or reads it from stdin if that is not a terminal. The session lasts 12 hours; it is kept in
    `$XDG_CONFIG_HOME/linewright/logins.json`, which only its owner can read.

    Parameters
    ----------
    url
        Address of the control plane, e.g. https://factory.example.org; http:// for this machine only.
    name
        Name of the member (default: prompt for it).
    invitation
        Code of `member invite`: with it the member chooses the password.
    browser
        Sign in at the factory's provider, in a browser on any machine; the page shows a code, which is typed here.
    """
    del factory
    if browser and (name is not None or invitation is not None):
        raise RequestError(
            "the provider asks for the password", where="--browser", allowed="no --name, no --invitation"
        )
    given = (("--name", name), ("--invitation", invitation))
    options = (f"{option}={value}" for option, value in given if value is not None)
    with_browser = ("--browser",) if browser else ()
    return NextProgram(module=_PROGRAM, arguments=("login", *options, *with_browser, "--", url))


@operation(permission="view", effect="act", local=True, anywhere=True)
def logout(factory: Factory, url: str, /) -> NextProgram:
    """Sign out of a factory, and forget the session.

    Parameters
    ----------
    url
        Address of the control plane, as for `login`.
    """
    del factory
    return NextProgram(module=_PROGRAM, arguments=("logout", "--", url))
