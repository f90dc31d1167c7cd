"""What to serve: the pointer files, followed while the endpoint runs.

A file a line, replaced by rename, is all that an endpoint needs to know of the factory. A new model is loaded beside
the old one, verified and tried, and only then takes its place; requests that have begun finish on the old one.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import msgspec

from linewright.model.package import load
from linewright.release.facts import Arm, Serving
from linewright.serve.scoring import Scorer
from linewright.serve.trouble import Trouble, note_trouble, trouble_with

POLL_S = 0.2
ALL_S = 2.0
"""How often each pointer file is looked at, and how long after the folder changed at each poll."""
RETRY_S = 5.0
"""Time until a package that was refused is tried again: someone may have restored its bytes."""

Get = Callable[[str], bytes]
Signature = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A candidate that answers a share of the rows."""

    arm: Arm
    scorer: Scorer
    salt: str
    unit: str | None
    """Column that decides whose rows are its; `None` is the key."""


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """A model that gets copies of rows which another one has answered. It is not loaded in this process."""

    arm: Arm
    unit: str | None
    """Column that says which rows are alike; `None` is the key."""
    known: tuple[str, ...] = ()
    """Further columns that a row may have."""
    trial: str = ""
    """The salt of the trial, by which it is told from others of the same models."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """One line as it is served at a moment. A request takes it once and stays with it."""

    line: str
    halt: bool = False
    arm: Arm | None = None
    """The model that answers; `None` where none could be loaded yet."""
    generation: int = 0
    """Generation of the pointer that brought it."""
    scorer: Scorer | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None
    wanted: Serving | None = None
    """The newest pointer; `None` where the file could not be read yet."""
    refused: str | None = None
    """Why the wanted model, or the pointer, was not taken over."""

    @property
    def answers_unlogged(self) -> bool:
        """Whether it answers also while its log cannot be written."""
        return self.wanted is not None and self.wanted.when_log_fails == "serve-unlogged"

    @property
    def model(self) -> str | None:
        """The model that answers, as LINE@VERSION."""
        return f"{self.line}@{self.arm.model}" if self.arm else None

    @property
    def tried(self) -> Canary | Shadow | None:
        """The candidate that is tried beside the champion."""
        return self.canary or self.shadow


class Lines:
    """Follows the pointer files of a folder and holds the loaded models.

    Parameters
    ----------
    folder
        Where the files ``LINE.json`` are; it need not exist yet.
    get
        Returns the bytes of a digest. What it returns is verified.
    tell
        Called with one JSON object for each change, for the log of the process.
    probe
        Tries a package elsewhere and raises what is wrong with it; asked where something serves already.
    """

    def __init__(
        self,
        folder: Path,
        get: Get,
        *,
        tell: Callable[[dict[str, object]], None],
        probe: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder, self._get, self._tell, self._probe = folder, get, tell, probe
        self._live: Mapping[str, Live] = {}
        self._seen: dict[str, Signature] = {}
        self._loading: dict[str, Future[None]] = {}
        self._loading_canary: dict[str, Future[None]] = {}
        self._retry_at: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        """By line the package of the candidate that was taken out of service here."""
        self._complaint = ""
        self._changed, self._alert_until, self._looked_at = -1, 0.0, 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._loader = ThreadPoolExecutor(2, thread_name_prefix="load")
        self._follower = threading.Thread(target=self._follow, name="pointers", daemon=True)

    @property
    def live(self) -> Mapping[str, Live]:
        """The lines as they are served now, by name."""
        return self._live

    def start(self, *, wait_s: float = 30.0) -> None:
        """Load what should serve, waiting at most `wait_s` seconds for it, and follow changes from then on."""
        self.look()
        wait([*self._loading.values(), *self._loading_canary.values()], timeout=wait_s)
        self._follower.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._follower.is_alive():
            self._follower.join()
        self._loader.shutdown(wait=False, cancel_futures=True)

    def look(self) -> None:
        """Read the pointer files that changed, and begin to load what they want."""
        try:
            found = _signatures(self._folder) if self._may_have_changed() else None
        except OSError as error:
            self._complain(str(error))
            return
        if found is not None:
            for line in self._live.keys() - found.keys():
                self._forget(line)
            for line, signature in found.items():
                if self._seen.get(line) != signature:
                    self._seen[line] = signature
                    self._read(line)
        for line in self._live:
            self._load_if_wanted(line)
            self._heed_trouble(line)
            self._load_canary_if_wanted(line)

    def _may_have_changed(self) -> bool:
        """Whether a file may have come, gone or been replaced: then the folder has another time, unless that was at once.

        A file that is written in its place leaves that time as it is, so now and then all are looked at.
        """
        now = monotonic()
        changed = self._folder.stat().st_mtime_ns if self._folder.exists() else 0
        if changed != self._changed:
            self._changed, self._alert_until = changed, now + ALL_S
        if now < self._alert_until or now >= self._looked_at + ALL_S:
            self._looked_at = now
            return True
        return False

    def drop_canary(self, line: str, package: str, because: str) -> None:
        """Take a candidate out of service here, at once, and leave word of it for those who decide, and for other endpoints."""
        if self._drop_here(line, package, because):
            with suppress(OSError):  # it stays out of service here, and the log says so
                note_trouble(self._folder, line, Trouble(package=package, because=because))

    def _drop_here(self, line: str, package: str, because: str) -> bool:
        with self._lock:
            if self._failed.get(line) == package:
                return False
            self._failed[line] = package
            now = self._live.get(line)
            if now is not None and now.tried is not None and now.tried.arm.package == package:
                self._put(replace(now, canary=None, shadow=None))
        self._tell({"event": "canary-dropped", "line": line, "package": package, "because": because})
        return True

    def _heed_trouble(self, line: str) -> None:
        """Drop a candidate that another process of the endpoint had trouble with: each sees only its share of the requests."""
        wanted = self._live[line].wanted
        arm = wanted.canary or wanted.shadow if wanted is not None else None
        if arm is not None and self._failed.get(line) != arm.package:
            because = trouble_with(self._folder, line, arm.package)
            if because is not None:
                self._drop_here(line, arm.package, because)

    def _follow(self) -> None:
        while not self._stop.wait(POLL_S):
            self.look()

    def _complain(self, because: str) -> None:
        if because != self._complaint:
            self._complaint = because
            self._tell({"event": "pointers-unreadable", "because": because})

    def _forget(self, line: str) -> None:
        with self._lock:
            self._live = {name: live for name, live in self._live.items() if name != line}
        self._seen.pop(line, None)
        self._tell({"event": "line-gone", "line": line})

    def _read(self, line: str) -> None:
        try:
            serving = msgspec.json.decode((self._folder / f"{line}.json").read_bytes(), type=Serving)
            if serving.line != line:
                raise msgspec.ValidationError(f"it is about line {serving.line!r}")
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._refuse(line, f"its pointer cannot be read: {error}")
            return
        self._retry_at.pop(line, None)
        with self._lock:
            now = self._live.get(line) or Live(line=line)
            # A halt holds at once, whatever becomes of the model beside it.
            now = replace(now, wanted=serving, halt=serving.halt, refused=None)
            settled = now.arm == serving.champion
            now = replace(now, generation=serving.generation) if settled else now
            scorer = None if now.scorer is None else now.scorer.knowing(serving.known)
            canary, shadow = _kept(now.canary, serving), self._shadow(serving)
            self._put(replace(now, scorer=scorer, canary=canary, shadow=shadow))
        model = serving.champion.model if serving.champion else None
        self._tell(
            {
                "event": "pointer",
                "line": line,
                "generation": serving.generation,
                "model": model,
                "halt": serving.halt,
            }
        )

    def _shadow(self, serving: Serving) -> Shadow | None:
        """Return the shadow that a pointer wants, unless the candidate was taken out of service here."""
        arm, tried = serving.shadow, serving.canary or serving.shadow
        if arm is None or tried is None or self._failed.get(serving.line) == tried.package:
            return None
        return Shadow(arm=arm, unit=serving.unit, known=serving.known, trial=serving.salt)

    def _load_if_wanted(self, line: str) -> None:
        now = self._live[line]
        wanted = now.wanted
        if wanted is None or now.arm == wanted.champion or line in self._loading:
            return
        if wanted.champion is None:
            self._take(line, wanted, None)
        elif (tried := now.canary) is not None and tried.arm.package == wanted.champion.package:
            # What it answered as a canary it answers as the champion: it is loaded already.
            if self._take(line, wanted, tried.scorer):
                self._tell_served(line, wanted.champion)
        elif monotonic() >= self._retry_at.get(line, 0.0):
            future = self._loader.submit(self._load, line, wanted, wanted.champion)
            self._loading[line] = future
            future.add_done_callback(partial(self._after_load, line, wanted))

    def _load_canary_if_wanted(self, line: str) -> None:
        now = self._live[line]
        wanted = now.wanted
        arm = wanted.canary if wanted is not None else None
        if wanted is None or arm is None or now.canary is not None or now.arm != wanted.champion:
            return
        if self._failed.get(line) != arm.package and line not in self._loading_canary:
            future = self._loader.submit(self._load_canary, line, wanted, arm)
            self._loading_canary[line] = future
            future.add_done_callback(partial(self._after_canary, line, arm))

    def _load_canary(self, line: str, wanted: Serving, arm: Arm) -> None:
        scorer = self._loaded(arm, wanted)
        with self._lock:
            now = self._live.get(line)
            # The pointer may have moved on meanwhile; what it wants then is looked at again.
            if now is None or now.wanted != wanted:
                return
            self._put(replace(now, canary=Canary(arm=arm, scorer=scorer, salt=wanted.salt, unit=wanted.unit)))
        self._tell(
            {"event": "canary", "line": line, "model": arm.model, "digest": arm.package, "share": arm.share}
        )

    def _after_canary(self, line: str, arm: Arm, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        self._loading_canary.pop(line, None)
        if error is not None:
            self.drop_canary(line, arm.package, f"it cannot be loaded: {type(error).__name__}: {error}")

    def _loaded(self, arm: Arm, wanted: Serving) -> Scorer:
        # Where nothing else could suffer, a probe would only make the start longer.
        if len(self._live) > 1 or any(one.scorer is not None for one in self._live.values()):
            self._probe(arm.package)
        scorer = Scorer(load(arm.package, self._get), arm.limits, wanted.known)
        scorer.check_golden(self._get)
        return scorer

    def _load(self, line: str, wanted: Serving, champion: Arm) -> None:
        if self._take(line, wanted, self._loaded(champion, wanted)):
            self._tell_served(line, champion)

    def _tell_served(self, line: str, champion: Arm) -> None:
        self._tell({"event": "serves", "line": line, "model": champion.model, "digest": champion.package})

    def _take(self, line: str, wanted: Serving, scorer: Scorer | None) -> bool:
        with self._lock:
            now = self._live.get(line)
            # While this model was loaded the pointer may have moved on, even back; then it must not serve.
            if now is None or now.wanted != wanted:
                return False
            taken = replace(
                now, arm=wanted.champion, scorer=scorer, generation=wanted.generation, refused=None
            )
            canary = _kept(now.canary, wanted)
            is_taken = canary is not None and canary.arm.package == (wanted.champion or canary.arm).package
            self._put(replace(taken, canary=None if is_taken else canary))
        return True

    def _after_load(self, line: str, wanted: Serving, future: Future[None]) -> None:
        # Whatever loading raised is a reason not to serve the new model; the old one goes on.
        error = None if future.cancelled() else future.exception()
        self._loading.pop(line, None)
        now = self._live.get(line)
        if error is not None and now is not None and now.wanted == wanted:
            self._retry_at[line] = monotonic() + RETRY_S
            self._refuse(line, f"{type(error).__name__}: {error}")

    def _refuse(self, line: str, because: str) -> None:
        with self._lock:
            before = self._live.get(line) or Live(line=line)
            self._put(replace(before, refused=because))
        if before.refused != because:
            self._tell({"event": "refused", "line": line, "because": because})

    def _put(self, live: Live) -> None:
        # A new mapping of frozen values: a request sees a line before or after a change, nothing between.
        self._live = {**self._live, live.line: live}


def _kept(canary: Canary | None, wanted: Serving) -> Canary | None:
    """Return the canary as a pointer wants it, where it is loaded already."""
    if canary is None:
        return None
    arm = wanted.canary
    if arm is not None and arm.package == canary.arm.package:
        scorer = canary.scorer.knowing(wanted.known)
        return replace(canary, arm=arm, scorer=scorer, salt=wanted.salt, unit=wanted.unit)
    # On its way to be the champion it answers its share until it is.
    is_promoted = wanted.champion is not None and wanted.champion.package == canary.arm.package
    return canary if is_promoted else None


def _signatures(folder: Path) -> dict[str, Signature]:
    found: dict[str, Signature] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        found[path.stem] = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
    return found
