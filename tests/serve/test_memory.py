"""Many lines within little memory: all answer, few are loaded, and what is loaded again is verified again."""

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from http.client import HTTPConnection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from linewright.errors import RequestError, Transient
from linewright.model.package.model import load
from linewright.serve.log.segments import read_log
from linewright.serve.models import follow as pointer
from linewright.serve.models.follow import Lines
from linewright.serve.models.memory import Memory, cost_of, to_bytes, usual_budget
from linewright.serve.rows.scorer import Scorer

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
LINES = 10
LOADED = 3


@pytest.fixture
def fleet(claims):
    """Ten lines, each with a model of its own; the first is `claims`."""
    made = {"claims": claims}
    for number in range(1, LINES):
        one = made[f"line-{number}"] = type(claims)(claims.state, line=f"line-{number}")
        one.make(number + 1)
        one.point(number + 1)
    return made


@pytest.fixture
def budget(claims) -> int:
    """Room for three models, and a little."""
    return LOADED * cost_of(claims.package) + 1000


@pytest.fixture
def follow(fleet, budget):
    """Give a function that follows the pointers of the fleet in this process, with room for three models."""
    followed: list[Lines] = []

    def begin(get=None, budget: int = budget) -> Lines:
        claims = fleet["claims"]
        one = Lines(claims.state / "serving", get or claims.artifacts.get, tell=lambda _: None, budget=budget)
        followed.append(one)
        one.start()
        return one

    yield begin
    for one in followed:
        one.close()


def loaded(lines: Lines) -> list[str]:
    return sorted(name for name, live in lines.live.items() if live.scorer is not None)


def woken(lines: Lines, *names: str) -> None:
    """Have lines asked for, one after the other."""
    for name in names:
        waiting = lines.hold(name)
        if waiting is not None:
            waiting.result(10)
        lines.release(name)


def metrics(endpoint) -> Counter:
    """Return the value of each metric, summed over its lines."""
    total: Counter = Counter()
    for family in text_string_to_metric_families(endpoint.ask("GET", "/metrics")[2]):
        for sample in family.samples:
            total[sample.name] += sample.value
    return total


def health(endpoint, line: str) -> dict:
    (one,) = (each for each in endpoint.ask("GET", "/v2/health")[2]["lines"] if each["line"] == line)
    return one


def resting(endpoint) -> str:
    """Return a line that rests."""
    lines = endpoint.ask("GET", "/v2/health")[2]["lines"]
    return next(each["line"] for each in lines if each["line"] != "claims" and not each["loaded"])


def post(endpoint, line: str, body: dict) -> tuple[int, dict]:
    """Ask on a connection of its own."""
    connection = HTTPConnection(*endpoint.address, timeout=30)
    try:
        connection.request(
            "POST", f"/v1/lines/{line}/predict", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


# What a client sees


def test_many_lines_answer_within_a_budget_of_a_few(fleet, budget, start):
    """Each by its own model, whoever asked before; and what is let go is as ready as what is loaded."""
    expected = {
        name: Scorer(load(one.models[max(one.models)], one.artifacts.get)).score([ROW])[0]
        for name, one in fleet.items()
    }
    endpoint = start(fleet["claims"].state, model_memory=budget)
    order = [*fleet, *fleet, *random.Random(4).choices([*fleet], k=20)]
    answers = [(name, endpoint.predict(ROW, line=name)) for name in order]
    told = metrics(endpoint)

    for name, answer in answers:
        (one,) = answer["predictions"]
        assert fleet[name].models[max(fleet[name].models)] == answer["digest"]
        assert expected[name]["probabilities"] == one["probabilities"]
    assert LOADED == told["linewright_loaded"]
    assert budget == told["linewright_model_memory_budget_bytes"] >= told["linewright_model_memory_bytes"] > 0
    assert LINES < told["linewright_model_loads_total"] <= LINES + len(order)
    assert told["linewright_model_evictions_total"] == told["linewright_model_loads_total"] - LOADED
    assert LINES == told["linewright_model_info"]
    assert 200 == endpoint.ask("GET", "/v2/health/ready")[0]


def test_what_is_told_of_a_line_does_not_load_it(fleet, budget, start):
    """A tool that looks at all lines would else push out those that people ask."""
    endpoint = start(fleet["claims"].state, model_memory=budget)
    name, before = resting(endpoint), metrics(endpoint)["linewright_model_loads_total"]
    label = {"labels": [{"key": "nobody", "label": "Yes"}]}
    told = [
        endpoint.ask("GET", f"/v2/models/{name}"),
        endpoint.ask("GET", f"/v2/models/{name}/ready"),
        endpoint.ask("GET", f"/v1/lines/{name}/schema"),
        endpoint.ask("GET", f"/openapi.json?line={name}"),
        endpoint.ask("GET", "/openapi.json"),
        endpoint.ask("POST", f"/v1/lines/{name}/feedback", label),
    ]
    for each in told:
        assert 200 == each[0], each
    columns = told[2][2]["properties"].keys()

    assert ROW.keys() <= columns
    assert LINES == sum(path.endswith("/predict") for path in told[4][2]["paths"])
    assert 404 == endpoint.ask("GET", f"/v2/models/{name}/versions/99")[0]
    assert 422 == endpoint.ask("POST", f"/v1/lines/{name}/predict", {"rows": "none"})[0]
    assert before == metrics(endpoint)["linewright_model_loads_total"]
    endpoint.predict(ROW, line=name)
    assert columns == endpoint.ask("GET", f"/v1/lines/{name}/schema")[2]["properties"].keys()


def test_all_who_ask_at_once_wait_for_one_load(fleet, budget, start):
    """A line that becomes busy again does not cost a load a request."""
    endpoint = start(fleet["claims"].state, model_memory=budget)
    name, before = resting(endpoint), metrics(endpoint)["linewright_model_loads_total"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(endpoint, name, {"rows": [ROW]}), range(32)))

    assert {200} == {status for status, _ in answers}
    assert 1 == len({answer["digest"] for _, answer in answers})
    assert 1 == metrics(endpoint)["linewright_model_loads_total"] - before


def test_many_clients_of_many_lines_get_all_their_answers(fleet, budget, start):
    """With room for three models and four clients, models come and go beside requests that are being answered."""
    endpoint = start(fleet["claims"].state, model_memory=budget)

    def client(seed: int) -> list[tuple[str, int, dict]]:
        chance = random.Random(seed)
        names = chance.choices([*fleet], k=25)
        return [
            (name, *post(endpoint, name, {"rows": [ROW], "durable": chance.random() < 0.2})) for name in names
        ]

    with ThreadPoolExecutor(4) as pool:
        answers = [each for client in pool.map(client, range(4)) for each in client]
    logged = {name: len(list(read_log(one.state / "log" / name))) for name, one in fleet.items()}

    assert {200} == {status for _, status, _ in answers}
    assert all(answer["digest"] in fleet[name].models.values() for name, _, answer in answers)
    assert logged == {name: sum(each[0] == name for each in answers) for name in fleet}
    assert metrics(endpoint)["linewright_loaded"] <= LOADED


def test_bytes_that_changed_while_a_line_rested_are_refused(fleet, budget, start):
    """It is verified as it was at first; nobody gets an answer of what nobody packaged."""
    endpoint = start(fleet["claims"].state, model_memory=budget)
    name = resting(endpoint)
    fleet[name].flip_a_bit(fleet[name].package.graph)
    assert health(endpoint, name)["ready"]
    status, headers, answer = endpoint.ask("POST", f"/v1/lines/{name}/predict", {"rows": [ROW]})

    assert (503, "2") == (status, headers["retry-after"])
    assert "refused (Corrupt" in answer["message"]
    assert {"ready": False, "model": None, "loaded": False}.items() <= health(endpoint, name).items()
    assert "Corrupt" in health(endpoint, name)["refused"]
    assert 503 == endpoint.ask("GET", "/v2/health/ready")[0]
    assert "refused" in [json.loads(line)["event"] for line in endpoint.said().splitlines()]
    assert "claims@1" == endpoint.predict(ROW)["model"]


def test_a_line_that_rests_follows_its_pointer_and_goes_on_resting(fleet, budget, start):
    """A promotion of a line that nobody asks is verified at once, and pushes nobody out."""
    endpoint = start(fleet["claims"].state, model_memory=budget)
    name = resting(endpoint)
    one = fleet[name]
    before = metrics(endpoint)
    one.make(50)
    one.point(50)
    endpoint.wait_for(lambda: health(endpoint, name)["model"] == f"{name}@50")
    bad = one.make(51)
    one.flip_a_bit(bad)
    one.point(51)
    endpoint.wait_for(lambda: health(endpoint, name)["refused"])
    after = metrics(endpoint)

    assert not health(endpoint, name)["loaded"]
    assert before["linewright_loaded"] == after["linewright_loaded"]
    assert before["linewright_model_evictions_total"] == after["linewright_model_evictions_total"]
    assert f"{name}@50" == endpoint.predict(ROW, line=name)["model"]
    assert 2 == health(endpoint, name)["generation"]


def test_a_halt_holds_for_a_line_that_rests_and_loads_nothing(fleet, budget, start):
    """Also a person's stop that comes while the model is not there."""
    endpoint = start(fleet["claims"].state, model_memory=budget)
    name = resting(endpoint)
    version, before = max(fleet[name].models), metrics(endpoint)["linewright_model_loads_total"]
    fleet[name].point(version, halt=True)
    endpoint.wait_for(lambda: health(endpoint, name)["halted"])

    assert 503 == endpoint.ask("POST", f"/v1/lines/{name}/predict", {"rows": [ROW]})[0]
    assert 503 == endpoint.ask("GET", f"/v2/models/{name}/ready")[0]
    assert before == metrics(endpoint)["linewright_model_loads_total"]
    fleet[name].point(version)
    endpoint.wait_for(lambda: not health(endpoint, name)["halted"])
    assert f"{name}@{version}" == endpoint.predict(ROW, line=name)["model"]


def test_a_canary_goes_and_comes_with_its_champion(fleet, start):
    """A unit has the same model before and after: no row of it goes to the champion while the canary is loaded again."""
    claims = fleet["claims"]
    claims.make(90)
    claims.point(1, canary=90, share=0.5, salt="s")
    endpoint = start(claims.state, model_memory=1)
    rows = [{**ROW, "PolicyNumber": number} for number in range(40)]

    def of_canary() -> list[str | None]:
        return [one.get("model") for one in endpoint.predict(*rows)["predictions"]]

    endpoint.wait_for(lambda: {None, "claims@90"} == set(of_canary()))
    first = of_canary()
    for name in list(fleet)[1:]:
        endpoint.predict(ROW, line=name)
        assert not health(endpoint, "claims")["loaded"]
        assert f'digest="{claims.models[90]}",arm="canary"' in endpoint.ask("GET", "/metrics")[2]
        assert first == of_canary()
    claims.point(1)
    endpoint.predict(ROW, line="line-1")
    endpoint.wait_for(lambda: health(endpoint, "claims")["generation"] == claims.generation)
    assert {None} == set(of_canary())


# Which models are in memory


def test_below_the_budget_all_is_loaded_at_the_start(fleet, follow):
    lines = follow(budget=10**9)

    assert sorted(fleet) == loaded(lines)
    assert (LINES, 0) == (lines.use_of_memory.loads, lines.use_of_memory.let_go)


def test_who_was_not_asked_for_the_longest_time_goes_first(follow):
    lines = follow()
    woken(lines, "line-5", "line-6", "line-7", "line-1", "line-2", "line-3", "line-1", "line-4")

    assert ["line-1", "line-3", "line-4"] == loaded(lines)
    assert lines.use_of_memory.taken <= lines.use_of_memory.budget


def test_a_line_that_answers_is_not_let_go_and_what_was_begun_ends_on_its_model(follow):
    """A request that began finishes, whatever is asked beside it; also on a model that was let go since."""
    lines = follow()
    woken(lines, "line-1")
    assert None is lines.hold("line-1")
    scorer = lines.live["line-1"].scorer
    woken(lines, *(f"line-{number}" for number in range(2, LINES)))
    assert lines.live["line-1"].scorer is scorer
    before = scorer.score([ROW])
    lines.release("line-1")
    woken(lines, *(f"line-{number}" for number in range(2, LINES)))

    assert None is lines.live["line-1"].scorer
    assert before == scorer.score([ROW])


def test_where_all_room_is_in_use_a_request_waits_for_it_and_not_for_ever(follow, monkeypatch):
    """It is told to try again, and leaves nothing behind."""
    lines = follow(budget=1)
    woken(lines, "line-1")
    lines.hold("line-1")
    monkeypatch.setattr(pointer, "LOAD_WAIT_S", 0.1)
    with pytest.raises(Transient, match="no memory for this line's models"):
        lines.hold("line-2").result(10)
    lines.release("line-2")
    taken = lines.use_of_memory.taken
    monkeypatch.setattr(pointer, "LOAD_WAIT_S", 10.0)
    waiting = lines.hold("line-2")
    lines.release("line-1")
    waiting.result(10)

    assert ["line-2"] == loaded(lines)
    assert pytest.approx(taken, rel=0.01) == lines.use_of_memory.taken


def test_a_load_that_takes_long_delays_no_other_line(fleet, follow):
    """A disk that is slow for one package is not slow for all; and whoever asks for that one waits for the same load."""
    slow, begun, go_on = set(), threading.Event(), threading.Event()
    get = fleet["claims"].artifacts.get

    def slow_get(digest: str) -> bytes:
        if digest in slow:
            begun.set()
            go_on.wait(10)
        return get(digest)

    lines = follow(slow_get)
    woken(lines, "line-1", "line-2", "line-3")
    slow.add(fleet["line-9"].package.graph)
    waiting = lines.hold("line-9")
    assert begun.wait(10)
    woken(lines, "line-4", "line-5", "line-6")
    before = lines.use_of_memory.loads

    assert not waiting.done()
    assert {waiting} == {lines.hold("line-9") for _ in range(5)}
    go_on.set()
    waiting.result(10)
    assert "line-9" in loaded(lines)
    assert before + 1 == lines.use_of_memory.loads
    assert lines.use_of_memory.taken <= lines.use_of_memory.budget


def test_a_pointer_that_moves_while_its_line_is_loaded_again_is_followed(fleet, follow):
    """Who waits gets the model that the pointer names by then, and it was verified."""
    one, slow, begun, go_on = fleet["line-9"], set(), threading.Event(), threading.Event()

    def slow_get(digest: str) -> bytes:
        if digest in slow:
            slow.discard(digest)
            begun.set()
            go_on.wait(10)
        return one.artifacts.get(digest)

    lines = follow(slow_get)
    slow.add(one.package.graph)
    waiting = lines.hold("line-9")
    assert begun.wait(10)
    one.make(60)
    one.point(60)
    lines.look()
    wait(lines._loading.values(), 10)
    while lines.live["line-9"].model != "line-9@60":
        lines.look()
        wait(lines._loading.values(), 10)
    go_on.set()
    waiting.result(10)

    live = lines.live["line-9"]
    assert (one.models[60], one.models[60]) == (live.arm.package, live.scorer.model.digest)


def test_a_line_that_goes_while_it_is_loaded_leaves_its_room(fleet, follow):
    slow, begun, go_on = set(), threading.Event(), threading.Event()

    def slow_get(digest: str) -> bytes:
        if digest in slow:
            begun.set()
            go_on.wait(10)
        return fleet["claims"].artifacts.get(digest)

    lines = follow(slow_get)
    slow.add(fleet["line-9"].models[10])
    waiting = lines.hold("line-9")
    assert begun.wait(10)
    (fleet["line-9"].state / "serving" / "line-9.json").unlink()
    while "line-9" in lines.live:
        lines.look()
    go_on.set()
    waiting.result(10)
    lines.release("line-9")

    assert sum(lines.live[name].bytes_loaded for name in loaded(lines)) == lines.use_of_memory.taken


def test_bytes_that_are_restored_serve_again_without_a_promotion(fleet, follow):
    one, lines = fleet["line-9"], follow()
    path = one.state / "artifacts" / one.package.golden[7:9] / one.package.golden[9:]
    good = path.read_bytes()
    one.flip_a_bit(one.package.golden)
    woken(lines, "line-9")
    assert (None, True) == (lines.live["line-9"].model, "Corrupt" in lines.live["line-9"].refused)
    path.write_bytes(good)
    lines._retry_at["line-9"] = 0.0
    while lines.live["line-9"].model is None:
        lines.look()

    woken(lines, "line-9")
    assert lines.live["line-9"].scorer


# What a model takes


def test_what_a_model_takes_is_not_more_than_is_thought(claims):
    """Else the budget would be a word; a tenth of what is thought would keep lines out for nothing."""
    code = (
        "import sys; from pathlib import Path\n"
        "from linewright.model.package.model import load, read_package\n"
        "from linewright.serve.models.memory import cost_of, give_back\n"
        "from linewright.serve.rows.scorer import Scorer\n"
        "from linewright.store.artifacts.local import LocalArtifacts\n"
        "get = LocalArtifacts(Path(sys.argv[1])).get\n"
        "def resident(): give_back(); return int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "held = [Scorer(load(sys.argv[2], get))]\n"
        "before = resident()\n"
        "held += [Scorer(load(sys.argv[2], get)) for _ in range(200)]\n"
        "print((resident() - before) / 200 / cost_of(read_package(sys.argv[2], get)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, claims.state / "artifacts", claims.models[1]],
        capture_output=True,
        text=True,
        check=True,
    )

    assert 0.1 < float(done.stdout) <= 1.0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("note"), st.sampled_from("abcde"), st.integers(0, 60)),
            st.tuples(st.just("use"), st.sampled_from("abcde")),
            st.tuples(st.just("release"), st.sampled_from("abcde")),
        ),
        max_size=30,
    ),
    st.integers(0, 120),
)
def test_whoever_is_in_use_stays_and_no_more_goes_than_has_to(steps, size):
    memory, sizes, uses = Memory(100), dict[str, int](), Counter()
    for what, line, *to in steps:
        if what == "note":
            memory.note(line, to[0])
            sizes[line] = to[0]
        elif what == "use":
            memory.use(line)
            uses[line] += 1
        elif uses[line]:
            uses[line] -= 1
            assert (uses[line] == 0) == memory.release(line)
    taken = sum(sizes.values())
    going = memory.to_let_go(size)

    assert taken == memory.used
    if going is None:
        idle = sum(sizes[line] for line in sizes if not uses[line])
        assert taken - idle + size > 100
    else:
        left = taken - sum(sizes[line] for line in going)
        assert not any(uses[line] for line in going)
        assert left + size <= 100 or left == 0
        assert not going or left + sizes[going[-1]] + size > 100


@pytest.mark.parametrize("text", ["", "2", "-1GiB", "1e9", "2 gb", "0GiB", "many", "9" * 16 + "GiB", "1TB"])
def test_what_is_no_size_is_refused_with_what_one_looks_like(text):
    with pytest.raises(RequestError, match="512MiB or 2GiB"):
        to_bytes(text)


@pytest.mark.parametrize(
    ("group", "path", "limit", "expected"),
    [
        ("0::/a/b", "sys/fs/cgroup/a/memory.max", "1073741824", 2**29),
        ("0::/a/b", "sys/fs/cgroup/memory.max", "1073741824", 2**29),
        ("0::/a/b", "sys/fs/cgroup/a/b/memory.max", "max", None),
        ("4:cpu,memory:/a", "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824", 2**29),
        ("4:memory:/host/only", "sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824", 2**29),
        ("4:cpu:/a", "sys/fs/cgroup/a/memory.max", "1073741824", None),
    ],
)
def test_the_usual_budget_is_half_of_what_the_process_could_have(tmp_path, group, path, limit, expected):
    """In a container the machine's memory is not ours."""
    for name, text in (("proc/self/cgroup", f"{group}\n"), (path, f"{limit}\n")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    machine = int(Path("/proc/meminfo").read_text().split()[1]) * 2**10

    assert (expected or machine // 2) == pytest.approx(usual_budget(tmp_path), rel=0.01)
