"""Pictures of DICOM: what becomes of their numbers, what is refused, and that nothing says whose they are."""

import struct
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_rescale, apply_windowing
from scans import NAME, scan

from linewright.errors import RequestError
from linewright.model.pictures import decoded
from linewright.plugins.dicom import decode, patient

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
RAMP = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16) * 16
WINDOW = {"WindowCenter": 1_000, "WindowWidth": 500}


def _file(name):
    return (FOLDER / name).read_bytes()


@pytest.mark.parametrize("other", ["RLE", "bigendian", "implicit", "expb", "padded"])
def test_one_picture_is_the_same_however_it_is_written(other):
    """Byte orders, explicit types and run lengths are of the file, not of the picture."""
    there = decode(_file("MR_small.dcm"), "a")

    assert "application/dicom" == there.media_type
    assert (there.pixels == decode(_file(f"MR_small_{other}.dcm"), "a").pixels).all()
    assert 20 < there.pixels.mean() < 235


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_is_applied_as_pydicom_does(function):
    """After slope and intercept, and of several the first."""
    tags = {
        "RescaleSlope": 2,
        "RescaleIntercept": -1_000,
        "WindowCenter": [1_000, 9],
        "WindowWidth": [500, 9],
    }
    data = scan(RAMP, VOILUTFunction=function, **tags)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = pydicom.dcmread(__import__("io").BytesIO(data))
        theirs = apply_windowing(apply_rescale(read.pixel_array, read), read)
    low, high = -1_000, 2 * (2**16 - 1) - 1_000

    ours = decode(data, "a").pixels[..., 0]
    assert np.abs(ours - (theirs - low) / (high - low) * 255).max() < 0.51


def test_less_is_darker_whatever_the_file_means_by_it():
    """`MONOCHROME1` shows the smallest number white."""
    turned = decode(scan(RAMP, PhotometricInterpretation="MONOCHROME1", **WINDOW), "a").pixels

    assert (255 - decode(scan(RAMP, **WINDOW), "a").pixels == turned).all()


def test_bytes_and_colours_are_as_they_are():
    """They have a range of their own."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colours = np.stack([grey, grey.T, 255 - grey], axis=-1)

    assert (grey == decode(scan(grey), "a").pixels[..., 1]).all()
    assert (colours == decode(scan(colours), "a").pixels).all()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (lambda: _file("CT_small.dcm"), "no window"),
        (lambda: _file("JPEG2000.dcm"), "compressed in a way"),
        (lambda: _file("image_dfl.dcm"), "compressed in a way"),
        (lambda: _file("SC_rgb_rle_2frame.dcm"), "several frames"),
        (lambda: _file("SC_rgb_rle_16bit.dcm"), "of a form that is not read"),
        (lambda: _file("examples_palette.dcm"), "of a form that is not read"),
        (lambda: _file("SC_rgb_small_odd.dcm"), "too small"),
        (lambda: _file("rtplan.dcm"), "no picture"),
        (lambda: _file("MR_truncated.dcm"), "broken"),
        (lambda: scan(RAMP, WindowCenter=1, WindowWidth=0), "the window of the picture is none"),
        (
            lambda: scan(RAMP, RescaleSlope="1234", **WINDOW).replace(b"1234", b"nan "),
            "brightness of the picture is not a number",
        ),
        (lambda: scan(RAMP, **WINDOW)[:700], "broken"),
        (lambda: b"\0" * 128 + b"DICM", "compressed in a way"),
        (lambda: b"\0" * 128 + b"DICM" + b"\x02\0\x10\0UN" + b"\xff" * 20, "compressed in a way"),
        (lambda: scan(RAMP, Rows=60_000, Columns=60_000, **WINDOW), "too many pixels"),
        (lambda: scan(RAMP, **WINDOW) + b"\0" * 20_000_000, "too large"),
    ],
)
def test_what_cannot_be_read_in_one_way_is_refused(data, what):
    """By name, and without a value of the person."""
    with pytest.raises(RequestError, match=what) as refused:
        decoded(data(), "there")

    assert "there" in str(refused.value)


def test_no_error_says_whose_picture_it_is():
    """Errors go to logs and to whoever asks."""
    whole = bytearray(scan(RAMP, **WINDOW))
    said = set()
    for at in range(132, len(whole) - RAMP.nbytes, 3):
        broken = whole.copy()
        broken[at] ^= 0xFF
        try:
            decode(bytes(broken), "there")
        except RequestError as error:
            said.add(str(error))

    assert len(said) > 5
    assert not [one for one in said if "Doe" in one or "MRN" in one]


def _element(kind: bytes, value: bytes, *, element: int = 0x0010) -> bytes:
    return struct.pack("<HH2sH", 0x0002, element, kind, len(value)) + value


@pytest.mark.parametrize("is_hidden", [False, True])
def test_what_says_that_it_is_deflated_elsewhere_is_not_inflated(is_hidden):
    """A megabyte may become a gigabyte; pydicom takes the last syntax, and reads a type that is none as a length."""
    bomb, plain, deflated = (
        zlib.compressobj(9, wbits=-15),
        b"1.2.840.10008.1.2.1\0",
        b"1.2.840.10008.1.2.1.99",
    )
    packed = b"".join(bomb.compress(bytes(2**20)) for _ in range(64)) + bomb.flush()
    # One reader skips the value of the first element, and the other reads an element in it that covers what follows.
    inside = _element(b"UI", plain) + struct.pack("<HH2sHI", 0x0002, 0x0100, b"OB", 0, 30)
    usual = _element(b"UI", b"1.2\0", element=0x0002)
    hidden = usual + struct.pack("<HHI", 0x0002, 0x0003, len(inside)) + inside
    first = hidden if is_hidden else _element(b"UI", plain)
    data = b"\0" * 128 + b"DICM" + first + _element(b"UI", deflated) + packed
    tracemalloc.start()
    with pytest.raises(RequestError):
        decode(data, "there")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert patient(data) is None
    assert most < 2**23


def test_a_file_of_very_many_tags_ends_soon():
    """Twenty megabytes can have millions."""
    whole = scan(RAMP, **WINDOW)
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    tags = b"".join(struct.pack("<HH2sH", 0x0009, 0x1000 + k % 60_000, b"LO", 0) for k in range(2_000_000))
    begun = time.process_time()

    with pytest.raises(RequestError, match="broken"):
        decode(whole[:at] + tags, "there")
    assert time.process_time() - begun < 4


def test_the_hash_of_a_patient_is_that_of_the_id_and_who_gave_it():
    """Two hospitals may give one number to two people; a name says nothing."""
    mine = patient(scan(RAMP, **WINDOW))

    assert mine == patient(scan(RAMP, PatientName="Other", **WINDOW))
    assert mine not in {patient(scan(RAMP, IssuerOfPatientID="B")), patient(scan(RAMP, PatientID="2")), None}
    assert [None, None] == [patient(scan(RAMP, PatientID="")), patient(b"\0" * 128 + b"DICM")]
    assert "Jane" in NAME
