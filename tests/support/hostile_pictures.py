"""A hundred files that are no picture to answer."""

import struct
import zlib

import drawn
import numpy as np
from PIL import Image


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data, bits=8, colour=0):
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def hostile_pictures():
    """Give a hundred files that are no picture to answer, each with its kind."""
    whole = drawn.encoded(drawn.drawn("circle", 1))
    colours = drawn.drawn("circle", 2).convert("RGB")
    jpeg, webp = drawn.encoded(colours, "JPEG"), drawn.encoded(colours, "WEBP")
    frames = [drawn.drawn("circle", seed) for seed in range(3)]
    more = {"save_all": True, "append_images": frames[1:]}
    sixteen = Image.fromarray(np.arange(4_096, dtype=np.uint16).reshape(64, 64) * 9)
    files = [
        ("bomb", png(side, side, zlib.compress(b"\0" * 1_000_000)))
        for side in (5_001, 30_000, 65_500, 2**31 - 1)
    ]
    files += [("bomb", png(4_000, 4_000, zlib.compress(b"\0" * size))) for size in (0, 10, 100_000)]
    text = zlib.compress(b"a" * 50_000_000)
    files += [("bomb", whole[:33] + _chunk(b"zTXt", b"k\0\0" + text) + whole[33:])]
    files += [
        ("truncated", one[: len(one) * part // 12]) for one in (whole, jpeg, webp) for part in range(1, 11)
    ]
    files += [
        ("wrong", data)
        for data in (b"x", b"%PDF-1.7 ", b"PK\x03\x04" * 9, b"GIF89a" + b"\0" * 40, b"<svg/>", b"\x7fELF" * 8)
    ]
    files += [
        ("wrong", drawn.encoded(colours, form)) for form in ("GIF", "PPM", "ICO", "TGA", "PCX", "EPS", "PDF")
    ]
    files += [("wrong", b"\x89PNG\r\n\x1a\n" + bytes([k]) * 99) for k in range(12)]
    files += [("wrong", b"\xff\xd8\xff" + bytes([k]) * 99) for k in range(8)]
    files += [("wrong", b"II*\0" + bytes([k]) * 99) for k in range(8)]
    files += [("wrong", b"BM" + bytes([k]) * 99) for k in range(4)]
    files += [("16 bit", drawn.encoded(sixteen, form)) for form in ("PNG", "TIFF")]
    files += [("float", drawn.encoded(Image.fromarray(np.ones((32, 32), np.float32)), "TIFF"))]
    files += [("inks", drawn.encoded(colours.convert("CMYK"), form)) for form in ("JPEG", "TIFF")]
    files += [("inks", drawn.encoded(colours.convert("LAB"), "TIFF"))]
    files += [("frames", drawn.encoded(frames[0], form, **more)) for form in ("PNG", "WEBP", "TIFF")]
    files += [("small", drawn.encoded(Image.new("L", size))) for size in ((1, 1), (7, 200), (200, 7))]
    flipped = bytearray(whole)
    for at in range(40, 40 + 6):
        flipped[at] ^= 0xFF
        files.append(("flipped", bytes(flipped)))
    return files
