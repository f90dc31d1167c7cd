"""Everything that a person or a program may ask for, each declared once.

This table says where an operation lives and what it does; commands, HTTP routes, reference pages and `Factory` methods
are derived from it, and import an operation's module only when it is used.
"""

from collections.abc import Mapping

from linewright.operations.declaration.declare import Entry

_START = "Start"
_RUN = "Run a line"
_USE = "Use its model"
_LABEL = "Label predictions"
_LOOK = "Look"
_RELEASE = "Decide what serves"
_CARE = "Take care of the factory"
_PEOPLE = "People and programs"


def _entry(module: str, group: str, summary: str) -> Entry:
    return Entry(module=f"linewright.operations.{module}", summary=summary, group=group)


OPERATIONS: Mapping[str, Entry] = {
    "demo": _entry(
        "demo",
        _START,
        "Show the whole life of a line on this machine: training, serving, an attack, the alarm, the retraining.",
    ),
    "new": _entry(
        "lines.new", _START, "Look at a table and write a line file for it, each choice with its reason."
    ),
    "init": _entry("lines.files", _START, "Make an empty factory in a folder."),
    "import-features": _entry(
        "data.feast",
        _START,
        "Write the feature views of a Feast repository as files, and say what of it is not carried over.",
    ),
    "check": _entry(
        "lines.check", _START, "Check the line files, and whether the data keep their contracts."
    ),
    "check-text": _entry(
        "lines.check",
        _START,
        "Check the text of a line file before anybody saves it, and show how it differs; nothing is kept and no data are read.",
    ),
    "line-file": _entry("lines.files", _START, "Print the file of a line."),
    "schema": _entry(
        "lines.files", _START, "Print the JSON Schema of the line file or of one of its sections."
    ),
    "plan": _entry("lines.plan", _RUN, "Say what a run would change, and why."),
    "plan-text": _entry(
        "lines.plan",
        _RUN,
        "Say what a run would change if the file of a line had another text; nothing but the plan is kept.",
    ),
    "run": _entry("lines.run", _RUN, "Train, judge and release lines; finish what was interrupted."),
    "retrain": _entry(
        "lines.run", _RUN, "Train a line again with the rows and labels that are known by now."
    ),
    "reconcile": _entry(
        "data.reconcile",
        _RUN,
        "Find rows of a source that its cursor does not show: missed, changed and deleted ones.",
    ),
    "cancel": _entry("lines.run", _RUN, "End a run that is at work or waits, without a result."),
    "up": _entry("up", _RUN, "Serve the factory: endpoint, control plane and worker, until stopped."),
    "serve": _entry("up", _RUN, "Serve the endpoint alone, without control plane and worker."),
    "detach": _entry(
        "models.detached", _RUN, "Write a folder from which an endpoint serves a model without the factory."
    ),
    "sync": _entry(
        "models.detached",
        _RUN,
        "Take over the predictions and labels of a detached endpoint, each exactly once.",
    ),
    "predict": _entry("models.predict", _USE, "Answer every row of a file with the model that serves."),
    "predict-job": _entry(
        "models.predict",
        _USE,
        "Make predictions that a line file names under `predict` now, and write them to their destination.",
    ),
    "request-form": _entry(
        "models.predict",
        _USE,
        "Say what a row that asks a line may hold: types, values, ranges and an example.",
    ),
    "try": _entry(
        "models.predict",
        _USE,
        "Answer one row without logging it, say why, and find what would change the answer.",
    ),
    "picture show": _entry("data.pictures", _USE, "Show a picture that a row names, scaled down."),
    "picture keep": _entry(
        "data.pictures", _USE, "Keep a picture, so that a row which is tried can name it."
    ),
    "feedback": _entry("models.predict", _USE, "Send labels for predictions, by id or key, from a file."),
    "annotate queue": _entry(
        "annotate", _LABEL, "Queue predictions without a label, for annotators to label."
    ),
    "annotate queue-rows": _entry(
        "annotate", _LABEL, "Queue rows of a dataset version without a label, for annotators to label."
    ),
    "annotate close": _entry(
        "annotate", _LABEL, "Close the questions of a line that wait for labels; what was labelled stays."
    ),
    "annotate next": _entry(
        "annotate", _LABEL, "Show your next question; for ten minutes nobody else gets it."
    ),
    "annotate answer": _entry("annotate", _LABEL, "Label a question, or skip it."),
    "annotate adjudicate": _entry(
        "annotate",
        _LABEL,
        "Decide a question on which annotators disagree, or that contradicts other feedback.",
    ),
    "annotate undo": _entry("annotate", _LABEL, "Take back your last answer, and get its question again."),
    "annotate status": _entry(
        "annotate",
        _LABEL,
        "Show how far annotators are, how far they agree, and what the last hundred labels changed.",
    ),
    "annotate export": _entry(
        "annotate",
        _LABEL,
        "Write the questions of a line and what was said of them, in Label Studio's JSON.",
    ),
    "annotate import": _entry(
        "annotate", _LABEL, "Take over annotations from a file in Label Studio's JSON."
    ),
    "status": _entry("lines.status", _LOOK, "Show what serves, since when, and what waits."),
    "alerts": _entry(
        "models.watch",
        _LOOK,
        "List what monitors found and people should know, and the trainings that it led to.",
    ),
    "alert": _entry(
        "models.watch",
        _LOOK,
        "Show one alert: what was and what came, side by side, and what the factory does about it.",
    ),
    "worst-slice": _entry(
        "models.evidence",
        _LOOK,
        "Find the slice of rows in which what an alert found is worst, with an interval.",
    ),
    "monitors": _entry(
        "models.watch",
        _LOOK,
        "Show what monitors saw of a line, window by window: drift by column, traffic, quality.",
    ),
    "value": _entry(
        "models.value",
        _LOOK,
        "Show what a line's decisions were worth, by day and in all, beside a baseline and what they cost.",
    ),
    "what-if": _entry(
        "models.value",
        _LOOK,
        "Show what other amounts of `value` would change: threshold, confusion and money on the test rows of the champion.",
    ),
    "goals": _entry(
        "models.value", _LOOK, "Show how far the goals of the factory are reached, line by line."
    ),
    "runs": _entry("lines.history", _LOOK, "List runs, newest first."),
    "history": _entry(
        "lines.history", _LOOK, "List what was decided about a line, who did it and why, newest first."
    ),
    "comments": _entry("people.comments", _LOOK, "List what people said about a line."),
    "inbox": _entry(
        "people.inbox",
        _LOOK,
        "List what waits for you: proposals to decide about, comments that name you, open alerts, failed runs, questions to label.",
    ),
    "inbox-read": _entry(
        "people.inbox",
        _LOOK,
        "Mark the comments that name you as read: they leave your inbox, and stay where they were said.",
    ),
    "views": _entry("people.views", _LOOK, "List the pages that you have saved; nobody else can read them."),
    "save-view": _entry(
        "people.views", _LOOK, "Save a page of the console with its filters under a name, for yourself."
    ),
    "delete-view": _entry("people.views", _LOOK, "Delete one of your saved views."),
    "run-steps": _entry(
        "lines.run",
        _LOOK,
        "Show how far a run has come: each step with its time, what was tried, and what the gates found.",
    ),
    "run-log": _entry(
        "lines.run",
        _LOOK,
        "Show the log of a run, also while it goes on: the last 200 lines, and what was tried so far.",
    ),
    "predictions": _entry(
        "lines.history", _LOOK, "List the answers that a line gave last, with what turned out to be true."
    ),
    "models": _entry("lines.history", _LOOK, "List the models of a line."),
    "sources": _entry(
        "data.sources",
        _LOOK,
        "List the sources of lines and of their feature views: what is read, when it was read last and how that went.",
    ),
    "features": _entry(
        "data.features",
        _LOOK,
        "List feature views: what each computes and from what, how fresh it is, who uses it, what it costs and what is wrong.",
    ),
    "schedule": _entry(
        "lines.schedule",
        _LOOK,
        "List what `up` does by a schedule: predictions and reads of sources, when they were done last and are due next.",
    ),
    "datasets": _entry(
        "data.datasets",
        _LOOK,
        "List a line's dataset versions, its rows in quarantine, the Parquet files of its prediction log, or what a source had.",
    ),
    "dataset": _entry(
        "data.datasets",
        _LOOK,
        "Show one dataset version of a line: its columns, the contract with its breaches, its sources, its models.",
    ),
    "export-dataset": _entry(
        "data.datasets",
        _LOOK,
        "Write a dataset version with what it is, as a Croissant record or a datasheet, for catalogues and people.",
    ),
    "rows": _entry(
        "data.datasets",
        _LOOK,
        "Show rows of a dataset version of a line, and the part of a split that each is in.",
    ),
    "profile": _entry(
        "data.datasets",
        _LOOK,
        "Show what the columns of a dataset version hold: types, missing values, ranges, common values.",
    ),
    "card": _entry("models.evidence", _LOOK, "Show the model card of a model, as Markdown or as a page."),
    "show": _entry(
        "models.evidence",
        _LOOK,
        "Show what an id stands for: a prediction, a run, a result, an alert or a column.",
    ),
    "replay": _entry(
        "models.evidence", _LOOK, "Compute a logged answer again with the model that gave it, and compare."
    ),
    "rebuild": _entry(
        "models.evidence", _LOOK, "Compute a model again from its manifest, in a fresh process, and compare."
    ),
    "why": _entry("models.evidence", _LOOK, "Follow a claim to its evidence."),
    "promote": _entry("changes.promote", _RELEASE, "Make a model the champion of its line."),
    "step": _entry(
        "changes.promote",
        _RELEASE,
        "Let the candidate that is tried take its next step now, instead of when the present one has lasted long enough.",
    ),
    "rollback": _entry(
        "changes.promote",
        _RELEASE,
        "Let the previous champion of a line serve again, or take back the candidate that is tried.",
    ),
    "halt": _entry("changes.halt", _RELEASE, "Stop a line's endpoint from answering, or free it."),
    "propose": _entry(
        "changes.propose",
        _RELEASE,
        "Propose another line file, and say what a run of it would change; nothing else changes until it is approved.",
    ),
    "proposals": _entry("changes.proposals", _RELEASE, "List the changes that wait for somebody's approval."),
    "proposal": _entry(
        "changes.proposals",
        _RELEASE,
        "Show one proposed change: what is replaced by what, in figures, and how it stands.",
    ),
    "approve": _entry(
        "changes.proposals",
        _RELEASE,
        "Approve a proposed change; the last approval that it needs applies it.",
    ),
    "decline": _entry("changes.proposals", _RELEASE, "Decline a proposed change, which ends the proposal."),
    "doctor": _entry(
        "care.maintenance", _CARE, "Find what keeps the factory from working, and the command that mends it."
    ),
    "verify": _entry(
        "care.maintenance", _CARE, "Check every stored byte, and that the record keeps its promises."
    ),
    "audit verify": _entry("care.audit", _CARE, "Check that no entry of the record was changed or removed."),
    "audit key": _entry("care.audit", _CARE, "Make the key that signs checkpoints of the record."),
    "audit export": _entry(
        "care.audit", _CARE, "Write the entries of the record as JSON lines, for other programs."
    ),
    "audit features": _entry(
        "care.logged_features",
        _CARE,
        "Compute the features of logged rows again, and name those that differ.",
    ),
    "audit entries": _entry("care.audit", _CARE, "Show a page of the entries of the record."),
    "audit find": _entry(
        "care.audit", _CARE, "Find entries of the record: by who, line, kind and time, the newest first."
    ),
    "notify status": _entry(
        "care.notify", _CARE, "Show who is told of what happens, what waits to be told, and what goes wrong."
    ),
    "notify test": _entry("care.notify", _CARE, "Send a test to those who are told of what happens."),
    "notify send": _entry(
        "care.notify", _CARE, "Tell now what waits to be told, without `up` and before the next try."
    ),
    "member add": _entry("people.members", _PEOPLE, "Add a member with a role."),
    "member list": _entry("people.members", _PEOPLE, "List who may sign in, and what they may do."),
    "member role": _entry(
        "people.members",
        _PEOPLE,
        "Give a member a role, or take it away; their tokens have it at once, and they sign in again.",
    ),
    "member remove": _entry(
        "people.members",
        _PEOPLE,
        "Remove a member with their saved views, sign them out and revoke their tokens.",
    ),
    "member invite": _entry(
        "people.invitations",
        _PEOPLE,
        "Make a code by which a member chooses a password, and print it this once.",
    ),
    "comment": _entry(
        "people.comments",
        _PEOPLE,
        "Say something about a line, or about a model, an alert, a dataset or a run of it.",
    ),
    "console": _entry(
        "people.console",
        _PEOPLE,
        "Print a link that opens the console, signed in as the owner of the factory.",
    ),
    "login": _entry("people.login", _PEOPLE, "Sign in to a factory that is up, here or elsewhere."),
    "logout": _entry("people.login", _PEOPLE, "Sign out of a factory, and forget the session."),
    "token create": _entry("people.tokens", _PEOPLE, "Make a token, and print it this once."),
    "token list": _entry(
        "people.tokens", _PEOPLE, "List all tokens, with what they may do and their last use."
    ),
    "token revoke": _entry("people.tokens", _PEOPLE, "Revoke a token: within a second it lets nobody in."),
    "backup": _entry(
        "care.maintenance", _CARE, "Copy the whole factory into one file, also while it is at work."
    ),
    "restore": _entry("care.restore", _CARE, "Make a factory from a backup, in an empty or a new folder."),
    "propose-restore": _entry("care.restore", _CARE, "Propose that a backup of this factory is restored."),
    "use-approval": _entry(
        "care.restore", _CARE, "Use the approval of a restore; `restore` does it by itself."
    ),
    "gc": _entry(
        "care.maintenance", _CARE, "Free what lines keep no longer and stored bytes that nothing refers to."
    ),
    "forget": _entry("care.maintenance", _CARE, "Remove for ever what a line has stored about one person."),
}
"""Name of each command → where it lives, in the order in which people meet them."""
