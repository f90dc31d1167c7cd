"""Permissions, the roles that bundle them, and whether somebody has one on a line."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

import msgspec

from linewright.errors import Denied

Permission = Literal[
    "view",
    "view-rows",
    "view-personal",
    "metrics",
    "predict",
    "label",
    "push",
    "annotate",
    "plan",
    "run",
    "release",
    "halt",
    "approve",
    "manage",
]
"""What a route or an operation asks for: to see what lines do; to see rows of data; to see in them the values of columns that
are declared personal; to read metrics; to predict; to send labels; to send rows of sources; to see the rows of a queue and label them; to look at data and stored bytes, which costs, and at what a run would do; to train; to change what serves;
to stop a line; to approve what others propose; to look after members, tokens and stored bytes."""
Effect = Literal["read", "propose", "act", "destroy"]
"""What an operation does: read; keep something that changes nothing yet; change something; remove what cannot be had back."""

PERMISSIONS: frozenset[str] = frozenset(get_args(Permission))
EFFECTS: frozenset[str] = frozenset(get_args(Effect))

_VIEWER = frozenset({"view"})
_ANALYST = _VIEWER | {"view-rows", "predict", "plan"}
ROLES: Mapping[str, frozenset[str]] = {
    "viewer": _VIEWER,
    "annotator": _VIEWER | {"label", "annotate"},
    "analyst": _ANALYST,
    "engineer": _ANALYST
    | {"view-personal", "label", "push", "annotate", "metrics", "run", "release", "halt"},
    "approver": _VIEWER | {"view-rows", "approve", "halt"},
    "admin": _VIEWER | {"view-rows", "metrics", "plan", "halt", "manage"},
}
"""What a member may do, by role. Nobody but the owner may do all: who looks after members neither trains nor approves.
Of personal values only an engineer has need, who writes the line file that declares them."""
TOKEN_KINDS: Mapping[str, frozenset[str]] = {
    "predict": frozenset({"predict"}),
    "feedback": frozenset({"label"}),
    "push": frozenset({"push"}),
    "metrics": frozenset({"metrics"}),
    "agent": _VIEWER | {"predict", "plan"},
}
"""What a token of a narrow kind may do; other tokens may do what a role may."""
_MOST_NAMED = 5


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Permissions, and the lines that they hold for."""

    permissions: frozenset[str]
    lines: frozenset[str] | None = None
    """Names of lines; `None` is the whole factory."""

    @property
    def is_anywhere(self) -> bool:
        """Whether it holds for a line at all: of its tags, none may have one now."""
        return self.lines is None or bool(self.lines)

    def allows(self, permission: str, line: str | None) -> bool:
        """Whether it holds the permission, on a line, or on the whole factory where `line` is `None`."""
        return permission in self.permissions and (
            self.lines is None or (line is not None and line in self.lines)
        )


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who asks, authenticated unless `actor` says otherwise."""

    actor: str
    """What the record says of them."""
    scopes: tuple[Scope, ...]
    member: str = ""
    """Name of the member; empty for the owner, who has none, and for tokens that are nobody's."""
    admins: tuple[str, ...] = ()
    """Names of the admins, whom a member may ask for a right."""

    @property
    def is_owner(self) -> bool:
        """Whether it is the owner of the factory, who has every right and answers for it with no account."""
        return not self.member and any(
            scope.permissions >= PERMISSIONS and scope.lines is None for scope in self.scopes
        )

    @property
    def client(self) -> str:
        """Whose share of what is scarce they use: all tokens and sessions of a member have one."""
        return f"member {self.member}" if self.member else self.actor

    @property
    def only_views(self) -> bool:
        """Whether they have no right but to look."""
        return all(scope.permissions <= _VIEWER for scope in self.scopes)

    def allows(self, permission: str, line: str | None = None) -> bool:
        """Whether they may do this to a line; `None` means the whole factory.

        Examples
        --------
        >>> scope = Scope(permissions=ROLES["viewer"], lines=frozenset({"claims"}))
        >>> ada = Identity(actor="ada", member="ada", scopes=(scope,))
        >>> ada.allows("view", "claims"), ada.allows("view", "parts"), ada.allows("view"), ada.allows("run", "claims")
        (True, False, False, False)
        """
        return any(scope.allows(permission, line) for scope in self.scopes)

    def allows_somewhere(self, permission: str) -> bool:
        """Whether they may do this to one line at least."""
        return any(permission in scope.permissions and scope.is_anywhere for scope in self.scopes)

    def require_somewhere(self, permission: str) -> None:
        """Refuse what they may not do to any line."""
        if not self.allows_somewhere(permission):
            raise self.refusal(permission)

    def lines(self, permission: str) -> frozenset[str] | None:
        """Return the lines that they may do this to; `None` is all."""
        scopes = [scope for scope in self.scopes if permission in scope.permissions]
        named = [scope.lines for scope in scopes if scope.lines is not None]
        return None if len(named) < len(scopes) else frozenset[str]().union(*named)

    def require(self, permission: str, lines: Collection[str] = ()) -> None:
        """Refuse what they may not do."""
        for line in lines or (None,):
            if not self.allows(permission, line):
                raise self.refusal(permission, line)

    def refusal(self, permission: str, line: str | None = None) -> Denied:
        """Return the error of somebody who lacks the right."""
        mine, details = self.lines(permission), {"permission": permission, "line": line}
        if mine:
            allowed = ", ".join(sorted(mine))
            return Denied(
                f"{self.actor} has the right {permission} only on some lines",
                found="all lines" if line is None else line,
                allowed=allowed,
                hint="name one of these lines" if line is None else "",
                details=details,
            )
        held = sorted({each for scope in self.scopes if scope.is_anywhere for each in scope.permissions})
        return Denied(
            f"{self.actor} lacks the right {permission}",
            found=", ".join(held) or "no right",
            hint=self._whom_to_ask(permission),
            details=details,
        )

    def _whom_to_ask(self, permission: str) -> str:
        admins = ", ".join(self.admins[:_MOST_NAMED])
        if permission == "manage":
            return (
                f"ask an admin: {admins}"
                if admins
                else "ask the owner of the factory, or a member who is admin"
            )
        return (
            f"an admin{f' ({admins})' if admins else ''} grants it: linewright member role NAME ROLE, "
            "or linewright token create NAME --kind ROLE"
        )


def owner(actor: str) -> Identity:
    """Return the identity of a factory's owner, who can write its folder and so has every right."""
    return Identity(actor=actor, scopes=(Scope(permissions=PERMISSIONS),))
