"""The routes of the control plane that ask for no right: the index, and those by which members get in and out."""

SIGN_IN, SIGN_OUT, JOIN = "/api/v1/sign-in", "/api/v1/sign-out", "/api/v1/join"
SIGN_IN_PAGE, JOIN_PAGE = "/sign-in", "/join"
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
        ("GET", AT_PROVIDER),
        ("GET", FROM_PROVIDER),
        ("POST", BY_CODE),
    }
)
"""Method and path. None of them tells anything of the factory to somebody who brings no secret."""
VISITED = frozenset(path for method, path in OPEN_ROUTES if method == "GET") - {AT_PROVIDER}
"""What a link of another site's page may lead to: a sign-in at a provider begins on our own page."""
PAGES = frozenset({SIGN_IN_PAGE, JOIN_PAGE})
"""What people see in a browser; its forms are sent as forms are, all else as JSON."""
SECRETS = frozenset(path for method, path in OPEN_ROUTES if method == "POST")
"""Those whose requests and answers hold secrets, so that none is kept."""
