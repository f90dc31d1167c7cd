"""Secrets do not stand in a line file; it names where they are."""

import re

from linewright.line.file.mistakes import Mistake, Mistakes, Path, dotted, either
from linewright.line.file.validate import looks_like_secret_name
from linewright.line.file.yaml_nodes import Entries, Items, Node, Scalar

_SECRETS = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # a password in a URL
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\b(ghp|gho|github_pat|glpat|xox[abp])[-_][0-9A-Za-z_-]{16,}"
    r"|\b(password|passwd|pwd|secret|token|api_?key)\s*=\s*[^\s&;]+",
    re.IGNORECASE,
)


def check_secrets(root: Entries, mistakes: Mistakes) -> None:
    """Note each value that looks like a secret; its text is never repeated."""
    waiting: list[tuple[Path, Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        match node:
            case Scalar():
                if _is_secret(path, node):
                    mistakes.add(
                        Mistake(
                            path=dotted(path),
                            line=node.line,
                            column=node.column,
                            what="this looks like a secret, and a line file is not the place for it",
                            allowed=either(["env:NAME", "file:PATH"]),
                            hint="name where the secret is, and change it if others have seen it",
                        )
                    )
            case Items():
                waiting.extend(((*path, index), item) for index, item in enumerate(node.items))
            case Entries():
                waiting.extend(((*path, word), value) for word, (_, value) in node.entries.items())


def _is_secret(path: Path, node: Scalar) -> bool:
    if re.fullmatch(r"(env|file):\S+", node.text):
        return False
    named = bool(path) and isinstance(path[-1], str) and looks_like_secret_name(path[-1])
    # `needs_token: true` is none.
    return (named and node.value is not None and not isinstance(node.value, bool)) or _SECRETS.search(
        node.text
    ) is not None
