"""What each operation is asked for the freeze: a good case wherever it can have one, else its refusal."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command on a copy of a factory, once as text and once as JSON.

    A word in braces is looked up in the factory, see `facts_of` of tests/freeze/test_operations.py.
    """

    words: str
    """What follows the name of the operation."""
    of: str = "every"
    """The factory, of `kept_factories.NAMES`."""
    by: str = ""
    """The member who asks (default: the owner)."""
    before: tuple[str, ...] = ()
    """Commands that go before, of the same member, or of the one named before a colon."""
    files: tuple[str, ...] = ()
    """Patterns of files that it writes, in the folder of the factory; they are shown."""
    is_elsewhere: bool = False
    """Whether a folder that is not there yet is the factory instead."""


HELP_ONLY = {"demo", "up", "serve"}
"""Operations that run until they are stopped."""
_DISPUTED = (
    "annotate queue claims --size 1 --annotators 2",
    "ada-engineer: annotate next claims",
    "ada-engineer: annotate answer claims {question} --label yes",
    "eve: annotate next claims",
    "eve: annotate answer claims {question} --label no",
)
_ASKED_TO_RESTORE = (
    "ann: propose-restore {dead} --because 'the disk is damaged'",
    "bob: approve {proposal:restore}",
)
_ROW = """'{"amount": 1.2, "age": 40}'"""


def every(words: str = "", **how: object) -> Case:
    return Case(words=words, **how)  # type: ignore[arg-type]


def waiting(words: str = "", **how: object) -> Case:
    return Case(words=words, of="waiting", **how)  # type: ignore[arg-type]


VARIES: Mapping[str, tuple[str, ...]] = {
    "run-steps": (r"(?:computed|done) +([\d.]+) s", r'"seconds": ([\d.]+)'),
    "runs": (r"([\d.]+) s, <amount> CPU s",),
    "sources": (r'"seconds": ([\d.]+)', r"( +[\d.]+)  <id \d+>  others"),
    "status": (r'"free_bytes": (\d+)', r'"growth_bytes_per_hour": ([\d.e+]+)', r'"full_in_h": ([\d.e+]+)'),
    "audit key": (r'linewright/([^"\n]+)',),
}
"""What differs from run to run in what an operation says, beside what `masked` knows: the group of each pattern."""

CASES: Mapping[str, tuple[Case, ...]] = {
    "demo": (),
    "new": (
        waiting(
            "fresh --data claims.csv --label fraud --positive yes --key claim", files=("lines/fresh.yaml",)
        ),
        waiting("fresh --data claims.csv --label nothing"),
        waiting("claims --data claims.csv --label fraud"),
    ),
    "init": (every("made", files=("made/factory.yaml",)), every(".")),
    "import-features": (
        every("given/feast", files=("features/driver_stats.yaml",)),
        every("given"),
    ),
    "check": (every(), waiting("claims"), every("nothing")),
    "check-text": (
        waiting("claims given/edited.yaml"),
        waiting("claims given/wrong.yaml"),
        waiting("""claims --edits '[{"path": ["train", "folds"], "value": "4"}]'"""),
    ),
    "line-file": (every("claims"),),
    "schema": (every("gates"), every("nonsense")),
    "plan": (every(), waiting("claims"), every("nothing")),
    "plan-text": (waiting("claims given/edited.yaml"), waiting("claims given/wrong.yaml")),
    "run": (every("others --quiet"), waiting("claims --quiet"), every("nothing")),
    "retrain": (waiting("claims --quiet"), every("others --quiet")),
    "reconcile": (waiting("claims"), every("claims")),
    "cancel": (waiting("{run} --because wrong"), waiting("00000000-0000-7000-8000-000000000000")),
    "up": (),
    "serve": (),
    "detach": (waiting("claims@1 out"), waiting("claims@9 out")),
    "sync": (waiting("out", before=("detach claims@1 out",)), waiting("given")),
    "predict": (
        waiting("claims ask.csv --out out.csv", files=("out.csv",)),
        waiting("claims ask.csv --out out.csv --explain", files=("out.csv",)),
        waiting("claims given/notes.txt --out out.csv"),
        every("others ask.csv --out out.csv"),
    ),
    "predict-job": (every("claims nightly"), every("claims daily")),
    "request-form": (waiting("claims"), every("others")),
    "try": (waiting(f"claims --row {_ROW}"), waiting("claims --row '{}'")),
    "picture show": (waiting("claims {dead}"),),
    "picture keep": (waiting("claims given/notes.txt"),),
    "feedback": (waiting("claims truth.csv"), waiting("claims given/notes.txt")),
    "annotate queue": (every("claims --size 4"), every("others")),
    "annotate queue-rows": (every("claims --size 4"),),
    "annotate close": (every("claims"),),
    "annotate next": (
        every("claims --with-prediction"),
        waiting("claims"),
    ),
    "annotate answer": (
        every("claims {question} --label yes --seconds 2", before=("annotate next claims",)),
        every("claims {question} --label maybe", before=("annotate next claims",)),
    ),
    "annotate adjudicate": (
        waiting("claims {disputed} --label yes --because known", before=_DISPUTED),
        every("claims {question} --label yes --because known"),
    ),
    "annotate undo": (
        every(
            "claims",
            before=("annotate next claims", "annotate answer claims {question} --label yes --seconds 2"),
        ),
        every("claims"),
    ),
    "annotate status": (every("claims"), waiting("claims")),
    "annotate export": (every("claims --out tasks.json", files=("tasks.json",)),),
    "annotate import": (
        every("claims tasks.json", before=("annotate export claims --out tasks.json",)),
        every("claims given/notes.txt"),
    ),
    "status": (every(), waiting("claims"), every("nothing")),
    "alerts": (waiting(), waiting("claims --over"), every()),
    "alert": (waiting("{alert:drift}"), waiting("{alert:performance}"), waiting("{dead}")),
    "worst-slice": (waiting("{alert:performance}"), waiting("{alert:drift}")),
    "monitors": (waiting("claims"), every("claims"), every("others")),
    "value": (waiting("claims"), every("claims")),
    "what-if": (waiting("claims --true-positive 20"), every("claims")),
    "goals": (waiting(), every()),
    "runs": (every(), waiting("claims --limit 1")),
    "history": (waiting("claims"), every("claims --about 1 --limit 3")),
    "comments": (waiting("claims"), every("claims")),
    "inbox": (waiting(by="bob"), every()),
    "inbox-read": (waiting(by="ann"), every()),
    "views": (waiting(), every()),
    "save-view": (every("mine '/?q=eu'"), every("mine http://elsewhere.example")),
    "delete-view": (waiting("'open alerts'"), every("mine")),
    "run-steps": (waiting("{run}"), every("{run}"), every("00000000-0000-7000-8000-000000000000")),
    "run-log": (waiting("{run}"), every("{run}")),
    "predictions": (
        waiting("claims --limit 3"),
        waiting("claims --key C003"),
        waiting("claims --answer yes --order probable --limit 2"),
        every("others"),
    ),
    "models": (waiting("claims"), every("others")),
    "sources": (every(), waiting("claims")),
    "features": (every(), every("filed_30d"), every("nothing")),
    "schedule": (every(), waiting()),
    "datasets": (
        waiting("claims"),
        every("claims --log"),
        waiting("claims --quarantine"),
        waiting("claims --source claims"),
        waiting("claims --diff {dataset} {dataset}"),
        every("others"),
    ),
    "dataset": (waiting("claims"), waiting("claims {dataset}"), waiting("claims {dead}")),
    "export-dataset": (
        waiting("claims out", files=("out/*.json", "out/*.md")),
        waiting("claims out --form datasheet", files=("out/*.md",)),
    ),
    "rows": (
        waiting("claims --limit 3"),
        waiting("claims --where fraud=yes --after 9 --limit 2"),
        waiting("claims --where 'amount > 1'"),
        every("others"),
    ),
    "profile": (waiting("claims"), every("others")),
    "card": (waiting("claims@1"), waiting("claims@1 --html"), waiting("claims@9")),
    "show": (waiting("{prediction}"), waiting("{package}"), waiting("{dead}")),
    "replay": (
        waiting("--prediction {prediction} --explain"),
        waiting("--prediction 00000000-0000-7000-8000-000000000000"),
    ),
    "rebuild": (waiting("claims@1 --quiet"), waiting("claims@9")),
    "why": (waiting("{certificate}"), waiting("{dead}")),
    "promote": (
        every("claims@1"),
        waiting("claims@2"),
        waiting("claims@2 --force --because 'it is needed'"),
        waiting("claims@9"),
    ),
    "step": (every("claims --because soon"),),
    "rollback": (
        waiting("claims --because worse", before=("bob: approve {proposal}",)),
        every("claims"),
    ),
    "halt": (
        every("claims --because smoke"),
        every("claims --off --because clear", before=("halt claims --because smoke",)),
    ),
    "propose": (
        waiting("claims given/edited.yaml --because better", by="eve"),
        waiting("claims given/wrong.yaml --because better", by="eve"),
    ),
    "proposals": (waiting(), waiting("claims --all", before=("bob: approve {proposal}",)), every()),
    "proposal": (waiting("{proposal}"), waiting("000000000000")),
    "approve": (
        waiting("{proposal} --comment fine", by="bob"),
        waiting("{proposal}", by="eve"),
        waiting("{proposal}", by="ada"),
    ),
    "decline": (waiting("{proposal} --comment no", by="bob"), waiting("000000000000", by="bob")),
    "doctor": (every(), waiting()),
    "verify": (every(), waiting("claims@1"), waiting("claims@9")),
    "audit verify": (every(), waiting("--against nonsense")),
    "audit key": (waiting("given/key"),),
    "audit export": (waiting("--out out.jsonl", files=("out.jsonl",)), every("--after 3")),
    "audit features": (every("claims"),),
    "audit entries": (every("--limit 3"), waiting("--after 2 --limit 2")),
    "audit find": (waiting("--kind promoted"), waiting("--actor ada --limit 2"), waiting("--kind nonsense")),
    "notify status": (waiting(), every()),
    "notify test": (waiting(), every("nobody")),
    "notify send": (waiting("ops"), every()),
    "member add": (
        every("dot --role engineer --lines claims"),
        every("ada --role viewer"),
        every("dot --role king"),
    ),
    "member list": (waiting(), every()),
    "member role": (every("eve engineer"), every("nobody viewer")),
    "member remove": (every("eve"), every("nobody")),
    "member invite": (every("eve"), every("nobody")),
    "comment": (waiting("claims 'looks right, @bob' --about 1", by="eve"), every("nothing text")),
    "console": (every(),),
    "login": (every("http://127.0.0.1:1"),),
    "logout": (every("http://127.0.0.1:1"),),
    "token create": (every("loader --kind push"), every("ci --kind predict"), every("x --kind king")),
    "token list": (every(), waiting(by="eve")),
    "token revoke": (every("ci"), every("nothing")),
    "backup": (every("copy.tar"), waiting("claims.csv")),
    "restore": (
        every("{root}/copy.tar", before=("backup copy.tar",), is_elsewhere=True),
        waiting("{root}/copy.tar", before=("backup copy.tar",), is_elsewhere=True),
        every("given/notes.txt", is_elsewhere=True),
    ),
    "propose-restore": (
        waiting("{dead} --because 'the disk is damaged'", by="ann"),
        waiting("{dead}", by="ann"),
    ),
    "use-approval": (
        waiting("{proposal:restore} --backup {dead} --head {head}", by="ann", before=_ASKED_TO_RESTORE),
        waiting("{proposal} --backup {dead} --head {dead}", by="ann"),
    ),
    "gc": (every(), every("--dry-run"), every("--grace nonsense")),
    "forget": (
        every("claims --subject person-QX7744 --dry-run"),
        every("claims --subject person-QX7744 --yes"),
        every("claims --subject person-QX7744"),
        waiting("claims --subject nobody --yes"),
    ),
}
