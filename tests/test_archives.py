"""Unpacking zip archives of unknown origin."""

import io
import os
import signal
import stat
import subprocess
import sys
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainscore_itmaps.archives import is_intact, unpack
from brainscore_itmaps.errors import DataError, InstallationError

MEMBERS = {"top/a.txt": b"a" * 3000, "top/deep/b.bin": os.urandom(5000), "top/empty": b""}


def archive_of(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            archive.writestr(info, content)
    return path


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_valid_archive_is_unpacked_completely_and_readable(tmp_path):
    archive = archive_of(tmp_path / "good.zip", MEMBERS)
    steps = []
    folder = unpack(archive, tmp_path / "out", progress=lambda *step: steps.append(step))
    assert {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()} == MEMBERS
    assert is_intact(archive, folder)
    assert steps
    assert stat.S_IMODE(folder.stat().st_mode) & 0o700 == 0o700
    assert everything(tmp_path)[:2] == ["good.zip", "out"]
    (folder / "top/a.txt").write_bytes(b"b" * 3000)
    assert not is_intact(archive, folder)
    (folder / "top/a.txt").unlink()
    assert not is_intact(archive, folder)


OUTSIDE = [
    "../x",
    "a/../../x",
    "a/..",
    "./../x",
    "..\\x",
    "a\\..\\..\\x",
    "/abs",
    "\\abs",
    "\\\\server\\x",
    "C:\\x",
    "C:/x",
]
IMPOSSIBLE = ["c:x", "", "/", "a/...", "a\nb", "x" * 200, "a/ /b"]


@pytest.mark.parametrize("name", OUTSIDE + IMPOSSIBLE)
def test_a_member_outside_the_folder_is_refused_by_name_before_anything_is_written(tmp_path, name):
    archive = archive_of(tmp_path / "bad.zip", {"good": b"1", name: b"2"})
    inner = tmp_path / "deep" / "er"
    with pytest.raises(DataError, match="is refused, nothing was unpacked") as refused:
        unpack(archive, inner / "out")
    assert repr(name) in str(refused.value)
    assert everything(tmp_path) == ["bad.zip"]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["..", ".", "a", "b", "C:", "", "\\", "..\\", "/", " ", "\x00", "ü"]), min_size=1, max_size=5
    )
)
def test_no_member_name_writes_outside_the_folder(tmp_path_factory, parts):
    root = tmp_path_factory.mktemp("root")
    archive = archive_of(root / "it.zip", {"/".join(parts): b"content"})
    inner = root / "one" / "two" / "three"
    inner.mkdir(parents=True)
    try:
        unpack(archive, inner / "out")
    except DataError:
        assert everything(inner) == []
    outside = [path for path in root.rglob("*") if path.is_file() and inner / "out" not in path.parents]
    assert outside == [archive]


def test_archives_made_on_windows_are_understood(tmp_path):
    folder = unpack(archive_of(tmp_path / "w.zip", {"top\\deep\\": b"", "top\\deep\\a.txt": b"1"}), tmp_path / "out")
    assert (folder / "top" / "deep" / "a.txt").read_bytes() == b"1"


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, mode):
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="'link': it is a link or a device"):
        unpack(tmp_path / "l.zip", tmp_path / "out")


def test_names_that_collide_on_some_file_systems_are_refused(tmp_path):
    with pytest.raises(DataError, match="another member has the same name"):
        unpack(archive_of(tmp_path / "1.zip", {"a/B": b"", "A/b": b"1"}), tmp_path / "out")
    with pytest.raises(DataError, match="both a file and a folder"):
        unpack(archive_of(tmp_path / "2.zip", {"a": b"1", "a/b": b"1"}), tmp_path / "out")


def test_an_encrypted_member_is_refused(tmp_path):
    content = bytearray(archive_of(tmp_path / "e.zip", {"a": b"1"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "e.zip").write_bytes(content)
    with pytest.raises(DataError, match="nothing was unpacked: 'a': it is encrypted"):
        unpack(tmp_path / "e.zip", tmp_path / "out")


def bomb(path, size):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.mat", "w", force_zip64=True) as file,
    ):
        for _ in range(size // 10**6):
            file.write(bytes(10**6))
    return path


def test_a_gigabyte_of_zeros_is_refused_by_its_declared_size(tmp_path):
    with pytest.raises(DataError, match=r"'bomb\.mat': its \d+ bytes would unpack to 1000000000"):
        unpack(bomb(tmp_path / "bomb.zip", 10**9), tmp_path / "out")
    assert everything(tmp_path) == ["bomb.zip"]


def test_a_bomb_with_a_false_declared_size_is_stopped_while_unpacking(tmp_path):
    """The declared size is 1000 bytes at both positions of a zip file that contain it."""
    archive = bomb(tmp_path / "bomb.zip", 40 * 10**6)
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as opened:
        size = opened.infolist()[0].file_size
    packed = size.to_bytes(4, "little")
    while packed in content:
        at = content.index(packed)
        content[at : at + 4] = (1000).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert everything(tmp_path) == ["bomb.zip"]


def test_a_member_that_ends_before_its_declared_size_is_damaged(tmp_path):
    archive = bomb(tmp_path / "short.zip", 10**6)
    content = bytearray(archive.read_bytes())
    size = (10**6).to_bytes(4, "little")
    while size in content:
        at = content.index(size)
        content[at : at + 4] = (10**6 + 100).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError, match="ends after 1000000 of 1000100 bytes"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 0.99])
def test_a_truncated_archive_is_an_error_and_leaves_no_folder(tmp_path, share):
    content = archive_of(tmp_path / "complete.zip", MEMBERS).read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="is not a zip archive"):
        unpack(tmp_path / "cut.zip", tmp_path / "out")
    assert everything(tmp_path) == ["complete.zip", "cut.zip"]


def test_a_flipped_bit_is_an_error_and_leaves_no_folder(tmp_path):
    content = bytearray(archive_of(tmp_path / "flipped.zip", MEMBERS).read_bytes())
    content[content.index(MEMBERS["top/deep/b.bin"]) + 100] ^= 4
    (tmp_path / "flipped.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged: top/deep/b\.bin: Bad CRC-32"):
        unpack(tmp_path / "flipped.zip", tmp_path / "out")
    assert everything(tmp_path) == ["flipped.zip"]


def test_a_web_page_is_refused_with_its_first_bytes(tmp_path):
    (tmp_path / "page.zip").write_text("<!DOCTYPE html><title>Please log in</title>")
    with pytest.raises(DataError, match="it begins with '<!DOCTYPE html>"):
        unpack(tmp_path / "page.zip", tmp_path / "out")
    with pytest.raises(DataError, match="Cannot read"):
        unpack(tmp_path / "none.zip", tmp_path / "out")


def test_killed_unpacking_leaves_no_folder_and_the_next_call_unpacks_again(tmp_path):
    archive = archive_of(tmp_path / "big.zip", {f"part-{number}": os.urandom(2**20) for number in range(5)})
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom brainscore_itmaps.archives import unpack\n"
        "def stop(*step):\n    if step[1] >= 3: print('unpacking', flush=True); time.sleep(60)\n"
        f"unpack(Path({str(archive)!r}), Path({str(tmp_path / 'out')!r}), progress=stop)"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "unpacking\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.glob(".writing-*"))
    unpack(archive, tmp_path / "out")
    assert is_intact(archive, tmp_path / "out")
    assert not list(tmp_path.glob(".writing-*"))


def test_interrupted_unpacking_leaves_nothing(tmp_path):
    archive = archive_of(tmp_path / "it.zip", MEMBERS)

    def interrupt(*step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out", progress=interrupt)
    assert everything(tmp_path) == ["it.zip"]


def test_a_full_disk_is_an_error_with_needed_and_free_bytes(tmp_path):
    archive = archive_of(tmp_path / "big.zip", {"a": os.urandom(300_000)})
    code = (
        "import resource, signal\nfrom pathlib import Path\nfrom brainscore_itmaps.archives import unpack\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"try: unpack(Path({str(archive)!r}), Path({str(tmp_path / 'out')!r}))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"InstallationError Cannot write {tmp_path / 'out'}")
    assert "It needs 300000 bytes" in done.stdout
    assert "are free" in done.stdout
    assert everything(tmp_path) == ["big.zip"]


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InstallationError, match="Cannot write"):
        unpack(archive_of(tmp_path / "a.zip", {"a": b"1"}), tmp_path / "file" / "out")


def test_too_many_members_are_refused(tmp_path):
    with pytest.raises(DataError, match="10001 members"):
        unpack(archive_of(tmp_path / "many.zip", {f"m{number}": b"" for number in range(10_001)}), tmp_path / "out")
