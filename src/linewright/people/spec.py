"""Sections of `factory.yaml` and of line files for people: `notify`, `audit`, `sign_in`, `costs`, `goals`, `changes` and `approve`."""

from ipaddress import ip_address
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from linewright.data.spec import Duration
from linewright.spec import Secret, Spec
from linewright.store.files.names import LINE

Topic = Literal[
    "alerts",
    "proposals",
    "waiting",
    "refusals",
    "approvals",
    "promotions",
    "rollbacks",
    "trials",
    "halts",
    "failures",
]
"""What can be told of: alerts and their end; trainings that are proposed, and what they wait for; candidates that were refused, or
want an approval; promotions, rollbacks, trials beside the champion; halts; runs that failed."""
TOPICS: tuple[Topic, ...] = get_args(Topic)

URL = r"^(https?://[^\s/@]+(/\S*)?|(env|file):\S+)$"
LINEAGE = r"^(https?://[^\s/@]+(/\S*)?|file:\S.*)$"
ORIGIN = r"^(https://[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|http://localhost)(:[1-9][0-9]{0,4})?$"
"""Of a page: no path, no pattern, and in small letters, as browsers send it."""
SERVER = r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):\d{1,5}$"
ADDRESS = r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$"
ISSUER = r"^https?://[^\s/@?#]+(/[^\s?#]*)?$"
SCOPE = r"^[\x21\x23-\x5b\x5d-\x7e]+$"

CURRENCY = r"^[A-Z]{3}$"
GOAL_NAME = r"^\S(.{0,98}\S)?$"
TAG = "tag:"
GOAL_LINES = rf"^(tag:\S(.*\S)?|{LINE})$"
MOST = 1e12
"""The largest price and target, in the currency: what is added up of them stays a number, whatever the currency."""

Address = Annotated[str, Field(pattern=ADDRESS)]


class _DestinationSpec(Spec):
    on: Annotated[tuple[Topic, ...], Field(min_length=1)] = TOPICS
    """What is told (default: everything)."""


class WebhookSpec(_DestinationSpec):
    """Each event is sent as a CloudEvent 1.0 in JSON."""

    webhook: Annotated[str, Field(pattern=URL)]
    """URL that takes POST requests, or `env:NAME` or `file:PATH` where it is. Redirects are not followed."""
    secret: Secret | None = None
    """`env:NAME` or `file:PATH` of the secret that requests are signed with, by HMAC-SHA256 as Standard Webhooks has it."""


class SlackSpec(_DestinationSpec):
    """Events are sent as text to an incoming webhook of Slack, Mattermost, Rocket.Chat or whatever takes the same."""

    slack: Secret
    """`env:NAME` or `file:PATH` of its URL: who knows it may post."""


class EmailSpec(_DestinationSpec):
    """Events are sent by e-mail, each recipient by itself."""

    email: Annotated[tuple[Address, ...], Field(min_length=1)]
    """Recipients."""
    sender: Address
    """Address that it comes from."""
    smtp: Annotated[str, Field(pattern=SERVER)]
    """Server and port, e.g. `smtp.example.com:587`."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: after its start, from its start (port 465), or not at all."""
    user: str | None = None
    """Name to sign in with, where the server wants one."""
    password: Secret | None = None
    """`env:NAME` or `file:PATH` of the password."""

    @model_validator(mode="after")
    def _signs_in_safely(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together")
        if self.password is not None and self.security == "none" and not _is_here(self.host):
            raise ValueError("a password is not sent without encryption: write security: starttls or tls")
        if not 0 < self.port < 65_536:
            raise ValueError("the port of 'smtp' is from 1 to 65535")
        return self

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self.smtp.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The server's port."""
        return int(self.smtp.rpartition(":")[2])


class LineageSpec(Spec):
    """Each run as events of OpenLineage: what it read, and the dataset version and the model that it made."""

    openlineage: Annotated[str, Field(pattern=LINEAGE)]
    """URL that takes POST requests, https, or http to this machine, whose host `hosts` names; or `file:PATH`, to which a line is added for
    each event."""
    token: Secret | None = None
    """`env:NAME` or `file:PATH` of the token that requests carry (default: none)."""

    @model_validator(mode="after")
    def _is_sent_safely(self) -> Self:
        if self.file is None:
            host = self.host
            if not host or (self.openlineage.startswith("http:") and not _is_here(host)):
                raise ValueError("'openlineage' is a URL of https, or of http to this machine, or file:PATH")
        elif self.token is not None:
            raise ValueError("'token' goes with a URL, and not with a file")
        return self

    @property
    def file(self) -> str | None:
        """Path of the file; `None` if it is a URL."""
        return self.openlineage.removeprefix("file:") if self.openlineage.startswith("file:") else None

    @property
    def host(self) -> str:
        """Host of the URL; empty if there is none."""
        try:
            return urlsplit(self.openlineage).hostname or ""
        except ValueError:
            return ""


DestinationSpec = WebhookSpec | SlackSpec | EmailSpec
Notify = dict[str, DestinationSpec]
"""Destinations by name."""


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class AuditSpec(Spec):
    """Signed checkpoints of the record, kept where those who can change it have no access."""

    key: Annotated[str, Field(min_length=1)]
    """File with the private key that signs them, 0600, outside of the state folder: `linewright audit key PATH` makes one."""
    to: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """Folders in which each checkpoint becomes a new file, and URLs that take POST requests: https, or http to this machine."""
    every: Duration = "1h"
    """How often one is made while the record grows."""

    @model_validator(mode="after")
    def _is_sent_safely(self) -> Self:
        for one in self.to:
            if "://" not in one:
                continue
            try:
                parts = urlsplit(one)
                host, is_named = parts.hostname or "", parts.username is not None
            except ValueError:
                parts, host, is_named = None, "", False
            if (
                parts is None
                or not host
                or is_named
                or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host)))
            ):
                raise ValueError(
                    "'to' names folders, and URLs of https, or of http to this machine, without a password"
                )
        return self


Role = Literal["viewer", "annotator", "analyst", "engineer", "approver", "admin"]
LineNames = tuple[Annotated[str, Field(pattern=rf"^{LINE}$")], ...]


class RoleOnLinesSpec(Spec):
    """A role, on the whole factory or on some lines."""

    role: Role
    """The role."""
    lines: Annotated[LineNames, Field(min_length=1)] = ()
    """Names of the lines that it is for (default: the whole factory)."""
    tags: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(min_length=1)] = ()
    """It is for the lines that have one of these tags, too; without `lines`, for these alone."""


class OidcSpec(Spec):
    """Members sign in at a provider of OpenID Connect, which knows their password and their groups."""

    issuer: Annotated[str, Field(pattern=ISSUER)]
    """URL of the provider, letter for letter as it calls itself: https, or http to this machine."""
    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    """What the provider calls this factory."""
    client_secret: Secret | None = None
    """`env:NAME` or `file:PATH` of the secret that goes with it (default: none, a public client)."""
    groups: Annotated[dict[str, Role | RoleOnLinesSpec], Field(min_length=1)]
    """By group, the role of its members: `ROLE`, or `{role: ROLE, lines: [A, B], tags: [C]}`. Who is in none of them is refused."""
    group_claim: Annotated[str, Field(min_length=1)] = "groups"
    """Claim of the ID token with the groups."""
    name_claim: Annotated[str, Field(min_length=1)] = "preferred_username"
    """Claim with what the record calls a member who is new; `email` counts only if the provider has verified it."""
    scopes: Annotated[tuple[Annotated[str, Field(pattern=SCOPE)], ...], Field(min_length=1)] = (
        "openid",
        "profile",
    )
    """What the sign-in requests; `openid` is among them."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("'scopes' needs openid")
        try:
            parts = urlsplit(self.issuer)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            parts, host = None, ""
        if parts is None or not host or not (parts.scheme == "https" or _is_here(host)):
            raise ValueError("'issuer' is a URL of https, or of http to this machine")
        return self

    @property
    def host(self) -> str:
        """Name and port of the provider, as people are shown it."""
        return urlsplit(self.issuer).netloc


class SignInSpec(Spec):
    """How members sign in, beside passwords."""

    oidc: OidcSpec
    """A provider of OpenID Connect; needs the extra `oidc`."""


Price = Annotated[float, Field(ge=0, le=MOST)]


class CostsSpec(Spec):
    """What work costs: with it, runs and lines have costs."""

    cpu_hour: Price = 0.0
    """An hour of one processor, in the currency."""
    label: Price = 0.0
    """A label that feedback accepts, in the currency."""
    currency: Annotated[str, Field(pattern=CURRENCY)] = "EUR"
    """ISO 4217 code."""


Kpi = Literal["value", "gain", "cost", "net"]
"""What a goal is about: what decisions were worth; that less what the baseline would have been; what runs and labels cost; gain less
cost."""


class GoalSpec(Spec):
    """What lines are to reach together."""

    name: Annotated[str, Field(pattern=GOAL_NAME)]
    """Its name; a line may name the goal that it serves: `goal: NAME`."""
    kpi: Kpi
    """What is added up over the lines."""
    target: Annotated[float, Field(ge=-MOST, le=MOST)]
    """In the currency of the lines: at least this is to be reached; of a cost, it is not to be exceeded."""
    lines: tuple[Annotated[str, Field(pattern=GOAL_LINES)], ...] = ()
    """Names of lines, or `tag:WORD` for all that have a tag (default: the lines whose file names the goal)."""
    over: Duration | None = None
    """Up to how long ago it counts (default: from the beginning)."""


Approvers = tuple[str, ...]
"""Roles on a line, and names of members."""


class ChangesSpec(Spec):
    """Who may approve changes of this file that members propose (`linewright propose`)."""

    approve: Annotated[Approvers, Field(min_length=1)] = ("approver",)
    """Roles and names of members."""
    approvals: Annotated[int, Field(ge=1, le=20)] = 1
    """How many of them have to approve."""
    autonomy: Annotated[Approvers, Field(min_length=1)] | None = None
    """Who may approve changes of what the line may do by itself: `retrain`, `release` and `changes` (default: as `approve`)."""


class ApproveSpec(Spec):
    """Who may approve what members ask of the whole factory."""

    forget: Approvers = ()
    """Roles and names of members who approve that what is stored about a person goes; with none, `forget` needs no approval."""
    restore: Approvers = ()
    """Roles and names of members who approve that a backup of this factory is restored; with none, `restore` needs no approval."""
    approvals: Annotated[int, Field(ge=1, le=20)] = 1
    """How many of them have to approve."""
