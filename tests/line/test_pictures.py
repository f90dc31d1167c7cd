"""A line on a folder of pictures: trained, answered in batches, rebuilt; its bytes stay as long as something names them."""

import base64
import struct
from contextlib import closing
from pathlib import Path

import drawn
import numpy as np
import polars as pl
import pytest
from PIL import Image

from linewright.capabilities.annotation.operations import annotate_queue
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.forget import forget, resume
from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.referenced_artifacts import unnamed
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.card import card_facts
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.predictions.operations import picture_keep, picture_show
from linewright.capabilities.schedules.predictions import predict_job
from linewright.capabilities.sites.folder import ready_to_serve
from linewright.capabilities.sites.operations import detach, sync
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Column, Dataset, Ingested
from linewright.data.kept_files import keep_files
from linewright.errors import Corrupt, NotFound, RequestError, Transient
from linewright.features.facts import LOOKS
from linewright.line.check.report import check_line
from linewright.line.factory import Factory, quiet
from linewright.line.facts import Finished, HandedOver
from linewright.line.loop.reference import make_reference
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute
from linewright.model.card.render import card_markdown
from linewright.model.facts import Evaluation, Package
from linewright.model.pictures import check_picture, looks
from linewright.people.annotations import Annotations
from linewright.plugins.pillow import decode
from linewright.serve.access.rights import Identity, Permission, Scope
from linewright.serve.http.predict import Loaded, answer
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.models.follow import Lines
from linewright.serve.rows.body.reader import in_rows
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.values import digest_of_bytes


@pytest.fixture
def shapes(tmp_path_factory, tmp_path):
    """Give a factory whose line has a champion."""
    with Factory.open(drawn.make_factory(tmp_path_factory, tmp_path / "factory")) as factory:
        yield factory


def _pictures(factory: Factory) -> pl.DataFrame:
    run = factory.metadata.events(Finished, line=drawn.LINE)[-1]
    dataset = factory.metadata.get(factory.metadata.get(run.ingested, Ingested).dataset, Dataset)
    return read_dataset(dataset, factory.artifacts, factory.metadata)


def test_a_line_learns_what_is_in_pictures(shapes):
    """Circles and squares of any size at any place: what a table of pixels does not say."""
    names = [digest for digest, kind, _ in shapes.metadata.results() if kind == "evaluation"]
    metrics = {one.name: one.value for one in shapes.metadata.get(names[-1], Evaluation).metrics}

    assert metrics["roc_auc"] > 0.85


def test_collecting_leaves_the_pictures_that_rows_name(shapes):
    """They are named in no result and no event, only in cells: a retraining would find them gone."""
    kept = set(_pictures(shapes)["file"])

    collect(shapes, grace_s=-60, dry_run=False)

    assert kept <= set(shapes.artifacts.digests())
    assert len(kept) > 100


def test_collecting_takes_pictures_and_their_numbers_once_nothing_names_them(shapes):
    """Those of a dataset version that is gone, for pictures take more space than tables."""
    stray = shapes.artifacts.put(drawn.encoded(drawn.drawn("circle", 999)))
    numbers = next((shapes.state / "features").iterdir()) / f"{stray.removeprefix('sha256:')}.fit"
    numbers.write_bytes(b"x")

    collect(shapes, grace_s=-60, dry_run=False)

    assert not shapes.artifacts.has(stray)
    assert not numbers.exists()


def test_forgetting_takes_the_pictures_of_a_person_with_it(shapes):
    """A scan is what the record has of a patient; those of others stay."""
    rows = _pictures(shapes)
    mine = set(rows.filter(pl.col("part") == "P007")["file"])
    others = set(rows["file"].drop_nulls()) - mine

    forget(shapes, drawn.LINE, "P007", dry_run=False)

    assert 2 == len(mine)
    assert not [one for one in mine if shapes.artifacts.has(one)]
    assert all(shapes.artifacts.has(one) for one in others)
    assert not [one for one in mine if list((shapes.state / "features").glob(f"*/{one[7:]}.fit"))]


def _scans(factory: Factory, part: str) -> dict[str, bytes]:
    digests = _pictures(factory).filter(pl.col("part") == part)["file"]
    return {digest: factory.artifacts.get(digest) for digest in digests}


def test_pictures_of_a_person_go_after_a_kill_too(shapes, monkeypatch):
    """By then the rows that named them are empty, so that the list has them until all is done."""

    def killed(*_):
        raise KeyboardInterrupt

    mine = _scans(shapes, "P007")
    monkeypatch.setattr("linewright.capabilities.care.forget._forget_pictures", killed)
    with pytest.raises(KeyboardInterrupt):
        forget(shapes, drawn.LINE, "P007", dry_run=False)
    monkeypatch.undo()
    assert all(shapes.artifacts.has(one) for one in mine)

    assert 1 == resume(shapes).ended
    assert not [one for one in mine if shapes.artifacts.has(one)]
    assert not [one for one in mine if one in (shapes.state / "forgotten" / f"{drawn.LINE}.json").read_text()]


def test_a_picture_that_another_person_sends_meanwhile_stays(shapes, monkeypatch):
    """It came after the look at what is named, and may be named by now."""

    def looks(*given, **named):
        found = unnamed(*given, **named)
        shapes.artifacts.put(again)
        return found

    (first, again), (second, _) = _scans(shapes, "P007").items()
    monkeypatch.setattr("linewright.capabilities.care.forget.unnamed", looks)

    forget(shapes, drawn.LINE, "P007", dry_run=False)

    assert (True, False) == (shapes.artifacts.has(first), shapes.artifacts.has(second))


def test_collecting_stops_if_rows_cannot_be_read_for_a_moment(shapes, monkeypatch):
    """They may name what would go."""

    def busy(*_):
        raise Transient("too many open files")

    kept = set(_pictures(shapes)["file"])
    monkeypatch.setattr("linewright.line.holdings.results.read_dataset", busy)

    with pytest.raises(Transient):
        collect(shapes, grace_s=-60, dry_run=False)

    assert kept <= set(shapes.artifacts.digests())


def test_a_line_may_name_its_pictures_by_a_pattern(shapes):
    """`check` and a run read them; the names are those of the whole folder."""
    path = shapes.path_of(drawn.LINE)
    path.write_text(path.read_text().replace("files: pictures", 'files: "pictures/*/*.png"'))

    assert 120 == check_line(shapes, drawn.LINE).rows
    before = set(_pictures(shapes)["name"])
    execute(shapes, drawn.LINE)
    assert before == set(_pictures(shapes)["name"])


def _ask_away(folder: Path, picture: bytes) -> None:
    """Answer a picture as the endpoint of a detached folder does."""
    state = ready_to_serve(folder)
    there = LocalArtifacts(state / "artifacts")
    with (
        closing(PredictionLog(state / "log" / drawn.LINE)) as log,
        closing(Lines(state / "serving", there.get, tell=lambda _: None)) as lines,
    ):
        lines.look()
        for future in [*lines._loading.values()]:
            future.result()
        lines.look()
        live = lines.live[drawn.LINE]
        loaded = Loaded(drawn.LINE, live.generation, live.arm, live.scorer, keep=there)
        answer(loaded, log, [{"name": "n", "file": base64.b64encode(picture).decode()}], in_rows)


def test_a_detached_line_answers_and_its_pictures_come_over(shapes, tmp_path, monkeypatch):
    """What labels of a site teach is in them."""
    folder = Path(detach(shapes, drawn.LINE, tmp_path / "site").folder)
    sent = drawn.encoded(drawn.drawn("circle", 7_000))
    digest = digest_of_bytes(sent)
    monkeypatch.setattr("linewright.model.pictures._OPENED", {})  # another machine
    _ask_away(folder, sent)
    there = LocalArtifacts(folder / ".linewright" / "artifacts").path(digest)
    there.chmod(0o600)

    for broken, error in ((b"x", Corrupt), (None, NotFound)):
        there.unlink() if broken is None else there.write_bytes(broken)
        with pytest.raises(error, match="copy the folder again"):
            sync(shapes, folder)
    assert not shapes.metadata.events(HandedOver, line=drawn.LINE)
    there.write_bytes(sent)

    assert 1 == sync(shapes, folder).answers
    assert sent == shapes.artifacts.get(digest)


def test_a_backbone_that_is_missing_is_found(shapes):
    """A model of pictures cannot answer without it."""
    version = find_model(shapes, drawn.LINE)
    (picture,) = shapes.metadata.get(version.digest, Package).encoder.pictures
    shapes.artifacts.path(picture.backbone).unlink()

    assert [one.what for one in verify_factory(shapes).problems if picture.backbone in one.what]


def test_a_retraining_reads_each_picture_once(shapes):
    """Its numbers hang on its bytes alone, so they are computed when it is first seen: else each retraining would take hours."""
    folder = next((shapes.state / "features").iterdir())
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    path = shapes.path_of(drawn.LINE)
    path.write_text(path.read_text().replace("folds: 2", "folds: 3"))

    execute(shapes, drawn.LINE)

    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(before) == len(set(_pictures(shapes)["file"]))


def test_a_model_of_pictures_is_rebuilt_byte_by_byte(shapes, tmp_path):
    """From what is stored alone; the numbers that training kept are not read."""
    version = find_model(shapes, f"{drawn.LINE}@1")
    found = rebuild(shapes, version, workers=1, scratch=tmp_path / "scratch", report=quiet)

    assert "R0" == found.level


def test_a_folder_is_answered(shapes, tmp_path):
    """A row a picture, by the name that it has below the folder."""
    drawn.draw_folder(tmp_path / "new", 8)

    done = predict_file(shapes, drawn.LINE, tmp_path / "new", tmp_path / "answers.csv")
    answers = pl.read_csv(tmp_path / "answers.csv")

    assert 8 == done["rows"]
    assert {"circle", "square"} >= set(answers["prediction"])
    assert "circle/P000-0.png" in answers["name"].to_list()


def _break_some(folder: Path) -> None:
    """Draw 8 pictures, then cut one off and write text to another."""
    drawn.draw_folder(folder, 8)
    cut, text = folder / "circle" / "P000-0.png", folder / "square" / "P001-2.png"
    cut.write_bytes(cut.read_bytes()[:300])
    text.write_bytes(b"no picture")


def test_rows_whose_picture_cannot_be_read_go_to_quarantine(shapes, tmp_path):
    """As other rows that break the contract: the others are answered."""
    _break_some(tmp_path / "new")

    done = predict_file(shapes, drawn.LINE, tmp_path / "new", tmp_path / "answers.csv")
    with pytest.raises(RequestError, match="broken"):
        predict_file(shapes, drawn.LINE, tmp_path / "new", tmp_path / "strict.csv", strict=True)

    broken = pl.read_csv(tmp_path / "answers.quarantine.csv")
    assert (6, 2) == (done["rows"], done["quarantined"])
    assert 6 == pl.read_csv(tmp_path / "answers.csv").height
    assert {"circle/P000-0.png", "square/P001-2.png"} == set(broken["name"])
    assert ["broken", "not a picture"] == [
        next(word for word in ("broken", "not a picture") if word in reason) for reason in broken["reason"]
    ]


def test_a_scheduled_job_answers_the_rows_whose_pictures_can_be_read(shapes):
    """One broken file would stop the job of every night, as long as it lies there; also one that a table names and that is gone."""
    _break_some(shapes.root / "new")
    drawn.draw_folder(shapes.root / "pictures" / "later", 2)
    path = shapes.path_of(drawn.LINE)
    jobs = """
predict:
  folder: {rows: {files: new}, to: {file: out/folder.csv}}
  table: {rows: {file: new.csv}, to: {file: out/table.csv}, new: true}
"""
    path.write_text(path.read_text() + jobs)
    digest = shapes.artifacts.put(b"kept, but no picture")
    names = ["new/circle/P002-4.png", "new/gone.png", digest, "../outside.png"]
    (shapes.root / "new.csv").write_text("\n".join(["file", *names]) + "\n")

    folder, table = (predict_job(shapes, drawn.LINE, job) for job in ("folder", "table"))

    assert (6, 2) == (folder.made.rows, folder.made.quarantined)
    assert (1, 3) == (table.made.rows, table.made.quarantined)
    assert "3 rows broke the contract" in table.made.because
    reasons = "".join(table.reasons)
    assert all(text in reasons for text in ("gone.png", "not there", digest, "outside of the folders"))
    assert 3 == pl.read_csv(shapes.root / "out" / "table.quarantine.csv").height


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"no picture", "not a picture"), (drawn.encoded(drawn.drawn("circle", 1))[:300], "broken")],
)
def test_a_file_that_is_no_picture_is_named_before_anything_is_kept(shapes, data, what):
    """By `check` too: an error in the middle of a training would name a digest."""
    (shapes.root / "pictures" / "circle" / "P900-900.png").write_bytes(data)
    before = set(shapes.artifacts.digests())

    with pytest.raises(RequestError, match=rf"P900-900.*{what}"):
        check_line(shapes, drawn.LINE)
    with pytest.raises(RequestError, match=rf"P900-900.*{what}"):
        execute(shapes, drawn.LINE)

    assert before == set(shapes.artifacts.digests())


def test_no_explanation_names_a_picture(shapes):
    """It would keep the picture for good, and says nothing: no two rows have the same."""
    kept = set(_pictures(shapes)["file"].drop_nulls())
    texts = "".join(
        body for _, kind, body in shapes.metadata.results() if kind in {"explanation", "reference"}
    )

    assert "file" in texts
    assert not [one for one in kept if one in texts]


def test_the_card_of_a_model_of_pictures_can_be_read(shapes):
    """The picture is one column, whatever it became."""
    card = card_markdown(card_facts(shapes, find_model(shapes, f"{drawn.LINE}@1")))

    assert "| file |" in card
    assert "1 column" in card


def test_the_card_names_the_pictures_that_it_misreads(shapes):
    """So that somebody looks at them; who may not see rows gets numbers."""
    path = shapes.path_of(drawn.LINE)
    path.write_text(
        path.read_text().replace("budget: quick", "budget: quick, split: {by: random, test: 0.4, salt: b}")
    )
    moved = sorted((shapes.root / "pictures" / "square").glob("*.png"))[:12]
    for picture in moved:  # somebody put them into the wrong folder
        picture.rename(shapes.root / "pictures" / "circle" / picture.name)
    execute(shapes, drawn.LINE)
    version = find_model(shapes, f"{drawn.LINE}@2")
    facts = card_facts(shapes, version)
    card = card_markdown(facts)
    shapes.identity = Identity(actor="who", scopes=(Scope(permissions=frozenset({"view"}), lines=None),))
    hidden = card_facts(shapes, version)

    assert 0 < len(facts.evaluation.misread) == len(facts.misread) <= 12
    assert {f"circle/{one.name}" for one in moved} & {*facts.misread}
    assert all(f"| {name} |" in card for name in facts.misread)
    sure = [one.probability for one in facts.evaluation.misread]
    assert sorted(sure, reverse=True) == sure
    assert () == hidden.misread
    assert not any(name in card_markdown(hidden) for name in facts.misread)


def test_monitors_watch_what_pictures_look_like(shapes):
    """A camera that is out of focus, or a lamp that went out, shows before any label comes; a digest says nothing."""
    reference = make_reference(shapes, shapes.line(drawn.LINE), find_model(shapes, f"{drawn.LINE}@1"))

    assert [f"file:{look}" for look in sorted(LOOKS)] == [one.name for one in reference.columns]
    dark = reference.columns[0]
    assert ("file:brightness", "number") == (dark.name, dark.kind)
    assert 0.2 < dark.edges[0] < dark.edges[-1] < 0.8


def test_a_backup_has_the_pictures(shapes, tmp_path):
    """Else a factory that is restored could neither train again nor show what a model has seen."""
    make_backup(shapes, tmp_path / "backup.tar")
    with Factory(tmp_path / "restored") as empty:
        restore_backup(empty, tmp_path / "backup.tar")

    with Factory.open(tmp_path / "restored") as restored:
        assert set(_pictures(shapes)["file"]) <= set(restored.artifacts.digests())


def test_metadata_that_are_broken_are_refused_in_words():
    """A camera or a program may cut them; the decoder then fails with an error of another kind than for pixels."""
    turned = Image.Exif()
    turned[0x0112], turned[0x010E] = 6, "x" * 20  # orientation and description
    data = bytearray(drawn.encoded(drawn.drawn("circle", 1), "JPEG", exif=turned))
    data[41] = 0  # the type of a value

    with pytest.raises(RequestError, match=r"there: the picture is broken"):
        decode(bytes(data), "there")


def test_the_frames_of_a_picture_are_not_counted():
    """A megabyte can name thousands, one after the other: counting them would take seconds."""
    one = bytearray(drawn.encoded(Image.new("L", (16, 16)), "TIFF"))
    first = struct.unpack_from("<I", one, 4)[0]
    tags = struct.unpack_from("<H", one, first)[0]
    end, size = first + 2 + 12 * tags, 12 * tags + 6
    same, start = bytes(one[first:end]), len(one) + len(one) % 2
    one[end : end + 4] = struct.pack("<I", start)
    one += bytes(start - len(one))
    for number in range(1, 2_001):
        one += same + struct.pack("<I", start + size * number if number < 2_000 else 0)

    with pytest.raises(RequestError, match=r"several frames: found '2 or more'"):
        decode(bytes(one), "there")


def test_a_long_and_narrow_picture_has_sharpness():
    """Of its short side no pixel is left out, else nothing would be left to compare."""
    pixels = np.random.default_rng(0).integers(0, 255, (8, 4_096, 3), dtype=np.uint8)

    assert looks(pixels)[4] > 0


def test_a_path_that_no_file_can_have_is_refused_at_its_place(tmp_path):
    """Rows may come from anybody; the words of the operating system name no column."""
    frame = pl.DataFrame({"file": ["x" * 5_000]})

    with pytest.raises(RequestError, match=r"column 'file': .*too long"):
        keep_files(frame, [Column(name="file", type="file")], [tmp_path], LocalArtifacts(tmp_path / "kept"))


@pytest.mark.skipif(
    not Path("/proc/self/mem").is_file(), reason="asks Linux for a file that root cannot read"
)
def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """As one that is broken, before anything is kept."""
    frame, columns = pl.DataFrame({"file": ["mem"]}), [Column(name="file", type="file")]

    with pytest.raises(RequestError, match=r"column 'file'.*mem: the file cannot be read"):
        keep_files(frame, columns, [Path("/proc/self")], LocalArtifacts(tmp_path / "kept"), check_picture)


def _member(name: str, line: str, *rights: Permission) -> Identity:
    scope = Scope(permissions=frozenset({"view", *rights}), lines=frozenset({line}))
    return Identity(actor=name, member=name, scopes=(scope,))


def test_a_picture_is_seen_by_those_who_may_see_a_row_that_names_it(shapes, tmp_path):
    """A digest is no right: rights on another line, or to label other rows, show nothing of this one."""
    root, digest = shapes.root, _pictures(shapes)["file"].drop_nulls()[0]
    (root / "lines" / "other.yaml").write_text(drawn.FILE.replace("line: shapes", "line: other"))
    drawn.draw_folder(tmp_path / "new", 8)
    predict_file(shapes, drawn.LINE, tmp_path / "new", tmp_path / "answers.csv")
    annotate_queue(shapes, drawn.LINE, size=4)
    record = next(iter(read_log(shapes.log_of(drawn.LINE)))).record
    with Annotations.of(shapes.state, drawn.LINE).reading() as held:
        question = held.questions("open")[0]
    asked = shapes.labels_of(drawn.LINE).find(question.prediction)[0].row["file"]
    ada, ann = _member("ada", "other", "view-rows"), _member("ann", drawn.LINE, "annotate")
    vic = _member("vic", drawn.LINE, "view-rows")

    with Factory(root, identity=vic) as seen:
        assert digest == picture_show(seen, drawn.LINE, digest).digest
        assert picture_show(seen, drawn.LINE, record.row["file"], of=record.id).png
    with Factory(root, identity=ann) as labels:
        assert picture_show(labels, drawn.LINE, asked, of=question.id).png
        for of in (None, question.id, record.id):
            with pytest.raises(NotFound, match=r"no row that you may see"):
                picture_show(labels, drawn.LINE, digest, of=of)
    with Factory(root, identity=ada) as elsewhere:
        for one, of in ((digest, None), (record.row["file"], record.id), (asked, question.id)):
            with pytest.raises(NotFound, match=r"no row that you may see"):
                picture_show(elsewhere, "other", one, of=of)


def test_a_picture_that_is_kept_is_seen_by_the_one_who_sent_it(shapes, tmp_path):
    """For an hour, so that a page can show what is tried."""
    file, hours = tmp_path / "a.png", ["2026-01-01T10:50:00.000000Z"]
    file.write_bytes(drawn.encoded(drawn.drawn("circle", 4_000)))
    rights: tuple[Permission, ...] = ("view-rows", "predict")
    with (
        Factory(shapes.root, identity=_member("ada", drawn.LINE, *rights), now=lambda: hours[-1]) as mine,
        Factory(shapes.root, identity=_member("bob", drawn.LINE, *rights), now=lambda: hours[-1]) as theirs,
    ):
        digest = picture_keep(mine, drawn.LINE, file).digest
        hours.append("2026-01-01T11:49:00.000000Z")

        assert picture_show(mine, drawn.LINE, digest).png
        with pytest.raises(NotFound, match=r"no row that you may see"):
            picture_show(theirs, drawn.LINE, digest)
        hours.append("2026-01-01T12:01:00.000000Z")
        with pytest.raises(NotFound, match=r"no row that you may see"):
            picture_show(mine, drawn.LINE, digest)
