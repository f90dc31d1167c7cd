"""The routes of the control plane that ask for no right: the index, those by which members get in and out, and files of pages."""

from linewright.interfaces.console.routes import DO, OPEN_FILES

SIGN_IN, SIGN_OUT, JOIN = "/api/v1/sign-in", "/api/v1/sign-out", "/api/v1/join"
SIGN_IN_PAGE, SIGN_OUT_PAGE, JOIN_PAGE = "/sign-in", "/sign-out", "/join"
AT_PROVIDER, FROM_PROVIDER, BY_CODE = "/sign-in/oidc", "/sign-in/oidc/callback", "/api/v1/sign-in/code"

OPEN_ROUTES = frozenset(
    {
        ("GET", "/"),
        ("POST", SIGN_IN),
        ("POST", SIGN_OUT),
        ("POST", JOIN),
        ("GET", SIGN_IN_PAGE),
        ("POST", SIGN_IN_PAGE),
        ("GET", JOIN_PAGE),
        ("POST", JOIN_PAGE),
        ("POST", SIGN_OUT_PAGE),
        ("GET", AT_PROVIDER),
        ("GET", FROM_PROVIDER),
        ("POST", BY_CODE),
        *(("GET", path) for path in OPEN_FILES),
    }
)
"""Method and path. None of them tells anything of the factory to somebody who brings no secret."""
VISITED = frozenset(path for method, path in OPEN_ROUTES if method == "GET") - {AT_PROVIDER}
"""What a link of another site's page may lead to: a sign-in at a provider begins on our own page."""
_FORMS = frozenset({SIGN_IN_PAGE, SIGN_OUT_PAGE, JOIN_PAGE})
SECRETS = frozenset(path for method, path in OPEN_ROUTES if method == "POST")
"""Those whose requests and answers hold secrets, so that none is kept."""


def takes_form(path: str) -> bool:
    """Whether what is sent there is a form of our pages; all else is JSON."""
    return path in _FORMS or path.startswith(DO)
