"""Damaged artifacts are named with a reason, and cost neither memory nor time."""

import io
import os
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from genbench.report.files import write_all
from genbench.report.pictures import CODES, ROWS, Artifacts, log_tail
from genbench.results import artifacts
from genbench.results.artifacts import Damaged, Form, check_picture, read_arrays
from genbench.results.store import Store

FORMS = {"x": Form("f", (None, 2)), "y": Form("iu", (None,), optional=True)}
#: What the header of an array says of 3 pairs of numbers.
HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }"


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def packed(content, method=zipfile.ZIP_DEFLATED, name="x.npy"):
    """An archive with one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def array(header=HEADER, data=bytes(48), version=b"\x01\x00"):
    """The file of one array."""
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode() + data


def patched(content, offset, new):
    """An archive in whose directory this is written over, so many bytes after where the first entry begins."""
    start = content.index(b"PK\x01\x02") + offset
    return content[:start] + new + content[start + len(new) :]


def png(size=(8, 8)):
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "png")
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_arrays_come_back_as_they_were_saved_and_no_others():
    x = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    found = read_arrays(npz(x=x, other=np.zeros(3)), FORMS)
    assert list(found) == ["x"]
    assert (found["x"] == x).all()
    swapped = read_arrays(npz(x=x.astype(">f4")), FORMS)["x"]
    assert (swapped == x).all()
    assert swapped.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no npz file"),
        (npz(x=np.zeros((3, 2)))[:-30], "no npz file"),
        (npz(y=np.zeros(3)), "it has no array x"),
        (npz(x=np.array([[object(), object()]])), "x holds object"),
        (npz(x=np.zeros((3, 2), dtype=[("a", "f4")])), "x holds"),
        (npz(x=np.zeros((3, 2), np.int64)), "x holds int64"),
        (npz(x=np.zeros((3, 3))), "x has the shape (3, 3)"),
        (npz(x=np.zeros(3)), "x has the shape (3,)"),
        (npz(x=np.full((3, 2), np.nan)), "can't be drawn"),
        (npz(x=np.full((3, 2), -np.inf)), "can't be drawn"),
        (npz(x=np.full((3, 2), 1e300)), "can't be drawn"),
        (packed(array(), zipfile.ZIP_BZIP2), "unknown method 12"),
        (packed(array(), zipfile.ZIP_LZMA), "unknown method 14"),
        (patched(npz(x=np.zeros((3, 2))), 10, struct.pack("<H", 99)), "unknown method 99"),
        (patched(npz(x=np.zeros((3, 2))), 8, b"\x01"), "encrypted"),
        (patched(npz(x=np.zeros((3, 2))), 24, b"\xff\xff\xff\x7f"), "its arrays take 2,047 MiB"),
        (patched(npz(x=np.zeros((3, 2))), 16, b"abcd"), "no npz file"),  # the sum
        (packed(b"no array"), "no npz file"),
        (packed(array(version=b"\x03\x00")), "an array in it is of version (3, 0)"),
        (packed(array(data=bytes(47))), "not as long as its header says"),
        (packed(array(data=bytes(4000))), "not as long as its header says"),
        (packed(array(HEADER.replace("3", "-3"))), "x has the shape"),
        (packed(array(HEADER.replace("3", "9" * 300))), "x has the shape"),
        (packed(array(HEADER.replace("3", "99999"))), "x is cut short"),
        (packed(array("(" * 9000)), "no npz file"),
        (packed(array("'" * 7)), "no npz file"),
        (packed(array("x" * 60_000)), "no npz file"),
        (packed(array(HEADER.replace("<f8", "<f99"))), "no npz file"),
    ],
)
def test_arrays_that_are_not_what_is_wanted_are_refused_with_a_reason(content, reason):
    with pytest.raises(Damaged) as caught:
        read_arrays(content, FORMS)
    assert reason in str(caught.value)


def test_a_zip_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(artifacts, "UNPACKED", 16 * 2**20)
    header = HEADER.replace("3", "100000")
    bomb = packed(array(header, bytes(80 * 2**20)))
    assert len(bomb) < 2**20
    lying = patched(bomb, 24, struct.pack("<I", 1_600_200))  # the directory says that there is less
    for content, reason in ((bomb, "its arrays take 80 MiB"), (lying, "Bad CRC-32")):
        tracemalloc.start()
        with pytest.raises(Damaged) as caught:
            read_arrays(content, FORMS)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert reason in str(caught.value)
        assert most < 2 * artifacts.UNPACKED


def test_pictures_that_can_not_be_shown_are_refused_with_a_reason():
    check_picture(png())
    text = PngImagePlugin.PngInfo()
    text.add_text("x", "y" * 2**27, zip=True)
    bomb = io.BytesIO()
    Image.new("L", (8, 8)).save(bomb, "png", pnginfo=text)
    other = io.BytesIO()
    Image.new("L", (8, 8)).save(other, "gif")
    head = b"\x89PNG\r\n\x1a\n"
    large = head + chunk(b"IHDR", struct.pack(">IIBBBBB", 10**5, 10**5, 8, 0, 0, 0, 0)) + chunk(b"IEND", b"")
    for content in (b"", head, png()[:-20], large, other.getvalue(), bomb.getvalue(), b"<svg onload=alert(1)>"):
        with pytest.raises(Damaged):
            check_picture(content)


def in_place(path, what):
    """Put something else into the place of a file."""
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/etc/hostname")
    elif what == "circle":
        path.symlink_to(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)


WHAT = ("folder", "pipe", "link", "circle", "device", "huge")


@pytest.mark.parametrize("what", WHAT)
def test_what_lies_in_an_artifact_s_place_is_neither_followed_nor_waited_for(record, fill_folder, tmp_path, what):
    names = {"samples": "samples.png", "codes": "codes.npz", "rows": "rows.npz", "log": "log.txt"}
    run = record("vae", {"fid": 1.0}, artifacts=names)
    fill_folder(tmp_path, [run])
    for name in names.values():
        in_place(Store(tmp_path).folder(run.key) / name, what)

    left = Artifacts(tmp_path)
    assert left.picture(run, "samples") is left.codes(run) is left.rows(run) is None
    assert sorted(item.path.name for item in left.damaged.values()) == ["codes.npz", "rows.npz", "samples.png"]
    assert all(item.reason for item in left.damaged.values())
    assert what == "huge" or log_tail(run, tmp_path).startswith("(log.txt is left out: ")


def test_a_report_names_what_is_damaged_and_holds_the_rest(record, fill_folder, tmp_path):
    names = {"samples": "samples.png", "codes": "codes.npz", "rows": "rows.npz"}
    good, bad = record("ae", {"fid": 2.0}, artifacts=names), record("vae", {"fid": 1.0}, artifacts=names)
    fill_folder(tmp_path, [good, bad])
    folder = Store(tmp_path).folder(bad.key)
    for run in (good, bad):
        images = np.zeros((4, 1, 8, 8), np.uint8)
        (Store(tmp_path).folder(run.key) / "rows.npz").write_bytes(npz(**dict.fromkeys(ROWS, images)))
    for name in names.values():
        (folder / name).write_bytes((folder / name).read_bytes()[:-40])
    warned = []

    write_all(tmp_path, warned.extend)

    assert sorted(item.path for item in warned) == sorted(folder / name for name in names.values())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("damaged: it is no PNG that can be read: ") == 1
    assert page.count("Without vae: ") == 2
    assert page.count("<figcaption>ae</figcaption>") == 1
    assert {path.name.rpartition("-")[2] for path in (tmp_path / "plots").iterdir()} >= {"latents.png", "denoising.png"}


@pytest.mark.parametrize("count", [0, 1])
def test_codes_must_be_as_many_as_labels_and_one_point_can_be_drawn(record, fill_folder, tmp_path, count):
    run = record("vae", {"fid": 1.0}, artifacts={"codes": "codes.npz"})
    fill_folder(tmp_path, [run])
    plane, y = np.full((count, 2), 1e30), np.zeros(count, int)
    path = Store(tmp_path).folder(run.key) / "codes.npz"
    path.write_bytes(npz(code_2d=plane, pca_2d=plane, y=y))
    found = Artifacts(tmp_path).codes(run)
    assert (found is not None) == (count == 1)
    assert found is None or set(found) == {"code_2d", "pca_2d", "y"} < set(CODES)
    write_all(tmp_path)
    assert any((tmp_path / "plots").glob("*latents.png")) == (count == 1)
    path.write_bytes(npz(code_2d=plane, pca_2d=plane, y=np.zeros(count + 1, int)))
    assert Artifacts(tmp_path).codes(run) is None
