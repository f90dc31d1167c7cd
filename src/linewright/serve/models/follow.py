"""What to serve: the pointer files, followed while the endpoint runs.

A file a line, replaced by rename, is all that an endpoint needs to know of the factory. A new model is loaded beside
the old one, verified and tried, and only then takes its place; requests that have begun finish on the old one.

All loaded models together stay within a budget of memory. Where there is no more room, the models of the lines that nobody
asked for the longest time are let go. Such a line rests: it serves as before, and the first request for it loads its models
again, which are verified again.
"""

import errno
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec

from linewright.errors import LinewrightError, Transient
from linewright.model.package.model import load, read_package
from linewright.release.facts import Arm, Serving
from linewright.release.halt_file import may_answer
from linewright.serve.models.canary_failure import Trouble, note_trouble, trouble_with
from linewright.serve.models.memory import Memory, cost_of, give_back, usual_budget
from linewright.serve.models.state import Canary, Live, Shadow, kept, still_wanted
from linewright.serve.rows.lookup.known_series import KnownSeries
from linewright.serve.rows.scorer import RequestForm, Scorer, form_of
from linewright.store.files.names import is_line_name, line_path
from linewright.store.values import decoder

POLL_S = 0.2
ALL_S = 2.0
"""How often each pointer file is looked at, and how long after the folder changed it is searched for new ones at each poll."""
RETRY_S = 5.0
"""Time until a package that was refused is tried again: someone may have restored its bytes."""
LOAD_WAIT_S = 10.0
"""How long a request waits for models that were unloaded."""
FREED = 16 * 2**20
"""Bytes of models that are unloaded, or a sixteenth of the budget where that is more, before freed memory is given back."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE}
Get = Callable[[str], bytes]
Signature = tuple[int, int, int]


class UseOfMemory(NamedTuple):
    """What the models of an endpoint take, and what that came of."""

    taken: int
    """Bytes, as `memory.cost_of` estimates them."""
    budget: int
    """Bytes."""
    loads: int
    """Packages that were loaded."""
    let_go: int
    """How often a line was brought to rest."""


class Lines:
    """Follows the pointer files of a folder and holds the loaded models."""

    def __init__(
        self,
        folder: Path,
        get: Get,
        *,
        tell: Callable[[dict[str, object]], None],
        probe: Callable[[str], None] = lambda _: None,
        budget: int | None = None,
    ) -> None:
        self._folder, self._get, self._tell, self._probe = folder, get, tell, probe
        self._live: dict[str, Live] = {}
        self._unsettled: set[str] = set()
        self._trying: set[str] = set()
        """Lines that try a candidate."""
        self._memory = Memory(usual_budget() if budget is None else budget)
        self._loads = self._let_go = self._freed = 0
        self._seen: dict[str, Signature] = {}
        self._loading: dict[str, Future[None]] = {}
        self._loading_canary: dict[str, Future[None]] = {}
        self._waking: dict[str, Future[None]] = {}
        self._retry_at: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        """By line the package of the candidate that was taken out of service here."""
        self._complaint = ""
        self._changed, self._alert_until, self._looked_at = -1, 0.0, 0.0
        self._lock = threading.Lock()
        self._released = threading.Condition(self._lock)
        self._for_room = 0
        """How many wait for it: each request releases a line, and hardly ever does somebody wait."""
        self._stop = threading.Event()
        self._loader = ThreadPoolExecutor(2, thread_name_prefix="load")
        # Requests wait for these, so what is new and may have to be tried for long is not in their way.
        self._waker = ThreadPoolExecutor(2, thread_name_prefix="wake")
        self._follower = threading.Thread(target=self._follow, name="pointers", daemon=True)

    @property
    def live(self) -> Mapping[str, Live]:
        """The lines as they are served now, by name."""
        return self._live

    @property
    def use_of_memory(self) -> UseOfMemory:
        """What loaded models take, and how often they were loaded and let go."""
        with self._lock:
            return UseOfMemory(self._memory.used, self._memory.budget, self._loads, self._let_go)

    def form(self, live: Live) -> RequestForm | None:
        """Return the form of requests to a line, from its package alone where it rests; `None` where it has no model."""
        if live.scorer is not None or live.arm is None:
            return live.scorer and live.scorer.form
        known = live.wanted.known if live.wanted is not None else ()
        return form_of(read_package(live.arm.package, self._get), live.arm.limits, known)

    def hold(self, line: str) -> "Future[None] | None":
        """Keep the models of a line in memory until `release`, which has to follow."""
        with self._lock:
            self._memory.use(line)
            live = self._live.get(line)
            if live is None or not live.resting:
                return None
            if line not in self._waking:
                self._waking[line] = self._waker.submit(self._wake, line)
            return self._waking[line]

    def release(self, line: str) -> None:
        """Take back one `hold`."""
        with self._lock:
            if self._memory.release(line) and self._for_room:
                self._released.notify_all()

    def start(self, *, wait_s: float = 30.0) -> None:
        """Load what should serve, waiting at most `wait_s` seconds for it, and follow changes from then on."""
        until = monotonic() + wait_s
        self.look()
        wait(list(self._loading.values()), timeout=wait_s)
        # Candidates come once their champions are there; a unit would else change its model for a moment at each start.
        self.look()
        wait(list(self._loading_canary.values()), timeout=max(until - monotonic(), 0.0))
        self._follower.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._follower.is_alive():
            self._follower.join()
        for pool in (self._loader, self._waker):
            pool.shutdown(wait=False, cancel_futures=True)

    def look(self) -> None:
        """Read the pointer files that changed, and begin to load what they want."""
        try:
            found = self._found()
        except OSError as error:
            self._complain(str(error))
            self._heed_stops()
            return
        if found is not None:
            self._heed_stops()
            for line in self._live.keys() - found.keys():
                self._forget(line)
            for line, signature in found.items():
                if self._seen.get(line) != signature:
                    self._seen[line] = signature
                    self._read(line)
        with self._lock:
            unsettled, trying = sorted(self._unsettled), sorted(self._trying)
        for line in trying:
            self._heed_trouble(line)
        for line in unsettled:
            self._load_if_wanted(line)
            self._load_canary_if_wanted(line)

    def _found(self) -> dict[str, Signature] | None:
        """Return the pointer files as they are, or `None` where nothing says that one came, went or was replaced.

        Then the folder has another time, unless it was just before; so for a while the files are searched for new ones. One
        that is written in its place leaves that time as it is, so now and then each is looked at.
        """
        now = monotonic()
        changed = self._folder.stat().st_mtime_ns if self._folder.exists() else 0
        if changed != self._changed or now >= self._looked_at + ALL_S:
            if changed != self._changed:
                self._changed, self._alert_until = changed, now + ALL_S
            self._looked_at = now
            return _signatures(self._folder, {})
        return _signatures(self._folder, self._seen) if now < self._alert_until else None

    def _heed_stops(self) -> None:
        """Halt the lines whose file that lets them answer is gone, and free those where it is back.

        Whoever takes it away changes the folder. It is asked for by name: that needs no descriptor, of which there may be none left.
        """
        for line, live in list(self._live.items()):
            wanted = live.wanted
            if wanted is not None and wanted.go and (is_halted := self._is_halted(wanted, live)) != live.halt:
                self._halt(line, wanted, is_halted)

    def _is_halted(self, wanted: Serving, now: Live) -> bool:
        if wanted.halt or not wanted.go:
            return wanted.halt
        try:
            return not may_answer(self._folder, wanted.line)
        except OSError:  # the folder cannot be asked: then nobody has said anything
            return now.halt

    def _halt(self, line: str, wanted: Serving, is_halted: bool) -> None:
        with self._lock:
            now = self._live.get(line)
            if now is None or now.wanted != wanted:
                return
            self._put(replace(now, halt=is_halted))
        self._tell({"event": "halted" if is_halted else "freed", "line": line})

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
            if now is not None and now.tried is not None and now.tried.package == package:
                resting = tuple((role, arm) for role, arm in now.resting if role != "canary")
                self._put(replace(now, canary=None, shadow=None, resting=resting))
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
            self._unsettled.discard(line)
            self._trying.discard(line)
            self._memory.note(line, 0)
        self._seen.pop(line, None)
        self._tell({"event": "line-gone", "line": line})

    def _read(self, line: str) -> None:
        try:
            serving = decoder(Serving).decode(line_path(self._folder, line, ".json").read_bytes())
            if serving.line != line:
                raise msgspec.ValidationError(f"it is about line {serving.line!r}")
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            if isinstance(error, OSError):
                self._seen.pop(line)  # the file may be sound, so it is read again
            if getattr(error, "errno", None) in _EXHAUSTED:
                self._complain(str(error))
            else:
                self._refuse(line, f"its pointer cannot be read: {error}")
            return
        self._retry_at.pop(line, None)
        series = self._series(serving)
        with self._lock:
            now = self._live.get(line) or Live(line=line)
            # A halt holds at once, whatever becomes of the model beside it.
            now = replace(now, wanted=serving, halt=self._is_halted(serving, now), refused=None)
            settled = now.arm == serving.champion
            now = replace(now, generation=serving.generation) if settled else now
            scorer = None if now.scorer is None else now.scorer.knowing(serving.known)
            resting = tuple(still_wanted(now.resting, serving))
            canary, shadow = kept(now.canary, serving), self._shadow(serving)
            series = series.unread() if resting else series
            self._put(
                replace(now, scorer=scorer, canary=canary, shadow=shadow, resting=resting, series=series)
            )
        model = serving.champion.model if serving.champion else None
        self._tell(
            {
                "event": "pointer",
                "line": line,
                "generation": serving.generation,
                "model": model,
                "halt": now.halt,
            }
        )

    def _series(self, serving: Serving) -> KnownSeries:
        """Return the newest values of a line's series, in memory: a request would have to wait for them."""
        before = self._live.get(serving.line)
        if before is not None and before.series is not None and before.series.digest == serving.series:
            return before.series
        series = KnownSeries(serving.series, self._get)
        self._read_ahead(serving.line, series)
        return series

    def _read_ahead(self, line: str, series: KnownSeries | None) -> None:
        try:
            if series is not None:
                series.read()
        except (LinewrightError, OSError) as error:  # each request that needs them tries again
            self._tell(
                {"event": "series-unreadable", "line": line, "because": f"{type(error).__name__}: {error}"}
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
        if wanted is None or arm is None or now.is_settled or now.arm != wanted.champion:
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
            if now.resting:
                self._put(replace(now, resting=(*now.resting, ("canary", arm))))
            else:
                canary = Canary(arm=arm, scorer=scorer, salt=wanted.salt, unit=wanted.unit)
                self._put(replace(now, canary=canary))
                self._make_room(0, besides=line)
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
        return self._verified(arm, wanted.known)

    def _verified(self, arm: Arm, known: Sequence[str]) -> Scorer:
        scorer = Scorer(load(arm.package, self._get), arm.limits, known)
        scorer.check_golden(self._get)
        with self._lock:
            self._loads += 1
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
            champion = wanted.champion
            canary = kept(now.canary, wanted)
            is_taken = canary is not None and canary.arm.package == (champion or canary.arm).package
            taken = replace(
                now,
                arm=champion,
                scorer=scorer,
                canary=None if is_taken else canary,
                resting=(),
                generation=wanted.generation,
                refused=None,
            )
            if champion is not None and now.resting:
                # Nobody has asked for it, so it goes on resting; now it is known that the new model can be loaded.
                beside = (one for one in now.resting[1:] if one[1].package != champion.package)
                taken = replace(taken, scorer=None, resting=(("champion", champion), *beside))
            elif scorer is not None and now.scorer is None and not self._memory.has_room(taken.bytes_loaded):
                taken = self._rested(taken)
            self._put(taken)
            self._make_room(0, besides=line)
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

    # Resting and waking

    def _wake(self, line: str) -> None:
        """Load the models of a line that rests, as often as what it wants changes meanwhile."""
        until = monotonic() + LOAD_WAIT_S
        with self._lock:
            self._memory.use(line)  # what is reserved for it is not let go, also when nobody waits any more
        try:
            while (live := self._live.get(line)) is not None and live.resting:
                self._load_again(live, until)
        finally:
            with self._released:
                self._waking.pop(line, None)
                # What was reserved and not taken is free again, also where the line has gone meanwhile.
                left = self._live.get(line)
                self._memory.note(line, left.bytes_loaded if left is not None else 0)
                self._memory.release(line)
                self._released.notify_all()
                is_much = self._freed >= max(FREED, self._memory.budget // 16)
                self._freed = 0 if is_much else self._freed
            if is_much:
                give_back()

    def _load_again(self, live: Live, until: float) -> None:
        line, (_, champion) = live.line, live.resting[0]
        known = live.wanted.known if live.wanted is not None else ()
        try:
            self._reserve(live, until)
            scorer = self._verified(champion, known)
        except Transient:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is why this model no longer serves
            self._lose(live, f"{type(error).__name__}: {error}")
            return
        canary = self._canary_again(live)
        self._read_ahead(line, live.series)
        with self._lock:
            now = self._live.get(line)
            if now is not None and now.wanted is not None and now.resting == live.resting:
                scorer, canary = scorer.knowing(now.wanted.known), kept(canary, now.wanted)
                self._put(replace(now, scorer=scorer, canary=canary, resting=()))
                self._make_room(0, besides=line)

    def _canary_again(self, live: Live) -> Canary | None:
        arm, wanted = dict(live.resting).get("canary"), live.wanted
        if arm is None or wanted is None:
            return None
        try:
            scorer = self._verified(arm, wanted.known)
        except Exception as error:  # noqa: BLE001 -- the champion answers without it
            because = f"it cannot be loaded: {type(error).__name__}: {error}"
            self.drop_canary(live.line, arm.package, because)
            return None
        return Canary(arm=arm, scorer=scorer, salt=wanted.salt, unit=wanted.unit)

    def _reserve(self, live: Live, until: float) -> None:
        """Make room for the models of a line that rests, waiting for others to be answered where it has to be."""
        size = sum(cost_of(read_package(arm.package, self._get)) for _, arm in live.resting)
        with self._released:
            while not self._make_room(size, besides=live.line):
                self._for_room += 1
                is_told = self._released.wait(until - monotonic())
                self._for_room -= 1
                if not is_told:
                    raise Transient(
                        "there is no memory for this line's models: those of other lines are all answering",
                        where=live.line,
                        allowed=f"{self._memory.budget:,} bytes for all models",
                        hint="try again, or start the endpoint with a larger --model-memory",
                    )
            self._memory.note(live.line, size)

    def _lose(self, before: Live, because: str) -> None:
        """Have a line without a model, since the one that it had can no longer be loaded; it is tried again, as any other."""
        line = before.line
        with self._lock:
            now = self._live.get(line)
            if now is None or now.resting != before.resting:
                return
            self._retry_at[line] = monotonic() + RETRY_S
            self._put(replace(now, arm=None, resting=(), refused=because))
        self._tell({"event": "refused", "line": line, "because": because})

    def _make_room(self, size: int, *, besides: str) -> bool:
        """Let models go until `size` more bytes fit; return whether they do. With the lock held."""
        lines = self._memory.to_let_go(size, besides=besides)
        for line in lines or ():
            self._put(self._rested(self._live[line]))
        return lines is not None

    def _rested(self, live: Live) -> Live:
        self._let_go += 1
        self._freed += live.bytes_loaded
        return live.rested()

    def _put(self, live: Live) -> None:
        # A frozen value in place of another: a request sees a line before or after a change, nothing between. Whoever goes
        # through all lines must not see one come, so then the mapping is another.
        if live.line in self._live:
            self._live[live.line] = live
        else:
            self._live = {**self._live, live.line: live}
        self._memory.note(live.line, live.bytes_loaded)
        (self._unsettled.discard if live.is_settled else self._unsettled.add)(live.line)
        (self._trying.add if live.is_trying else self._trying.discard)(live.line)


def _signatures(folder: Path, known: Mapping[str, Signature]) -> dict[str, Signature]:
    """Return what tells each pointer file from another one; those that `known` has by their number are not looked at."""
    found: dict[str, Signature] = {}
    if not folder.is_dir():
        return found
    with os.scandir(folder) as entries:
        files = sorted((entry.name, entry) for entry in entries if entry.name.endswith(".json"))
    for name, entry in files:
        line = name.removesuffix(".json")
        if not is_line_name(line):
            continue
        if (before := known.get(line)) is not None and before[1] == entry.inode():
            found[line] = before
            continue
        with suppress(FileNotFoundError):
            stat = entry.stat()
            found[line] = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
    return found
