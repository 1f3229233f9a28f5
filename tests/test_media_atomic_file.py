"""Files that appear whole or not at all."""

import os
import threading

import pytest

from neuralcodec import atomic_file
from neuralcodec.atomic_file import AtomicFile, check_target
from neuralcodec.errors import OutputError


def test_the_file_appears_on_commit_with_ordinary_permissions(tmp_path):
    path = tmp_path / "out.bin"
    (tmp_path / "ordinary").touch()
    with AtomicFile(path, overwrite=False) as out:
        out.file.write(b"new")
        out.file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_an_exception_keeps_the_old_content_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), AtomicFile(path, overwrite=True) as out:
        out.file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_overwriting_replaces_the_file_a_link_points_to_and_not_the_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("real")
    with AtomicFile(link, overwrite=True) as out:
        out.file.write(b"new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_commit_and_abort_may_be_repeated_in_any_order(tmp_path):
    path = tmp_path / "out.bin"
    out = AtomicFile(path, overwrite=False)
    out.file.write(b"kept")
    out.commit()
    out.abort()
    out.commit()
    assert path.read_bytes() == b"kept"


def test_a_name_as_long_as_names_can_be_is_no_trouble(tmp_path):
    path = tmp_path / ("n" * 255)
    with AtomicFile(path, overwrite=False) as out:
        out.file.write(b"x")
    assert path.exists()


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no devices here")
def test_a_device_is_written_and_not_replaced():
    before = os.stat("/dev/null")
    with AtomicFile("/dev/null", overwrite=False) as out:
        out.file.write(b"gone")
    assert os.stat("/dev/null").st_rdev == before.st_rdev


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("size", [10, 1_000_000])  # found out on flushing, and at once
def test_a_full_disk_is_an_output_error(size):
    with pytest.raises(OutputError, match="/dev/full"), AtomicFile("/dev/full", False) as out:
        out.file.write(bytes(size))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_written_straight_through(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    got = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    with AtomicFile(path, overwrite=False) as out:
        out.file.write(b"through")
    reader.join()
    assert got == [b"through"]
    assert path.is_fifo()


def test_unfit_targets_are_refused_before_any_work(tmp_path):
    (tmp_path / "there").write_bytes(b"old")
    with pytest.raises(OutputError, match="-y"):
        check_target(tmp_path / "there", overwrite=False)
    with pytest.raises(OutputError, match="is a folder"):
        check_target(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="there is no folder"):
        check_target(tmp_path / "no" / "out", overwrite=True)
    with pytest.raises(OutputError, match=r"no folder|Not a directory"):
        check_target(tmp_path / "there" / "out", overwrite=True)
    check_target(tmp_path / "there", overwrite=True)
    check_target(tmp_path / "new", overwrite=False)


def test_a_folder_without_write_permission_is_refused(tmp_path, monkeypatch):
    # For root every folder is writable, so the answer is set here.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission"):
        check_target(tmp_path / "out", overwrite=False)


def test_a_file_that_cannot_be_created_is_an_output_error(tmp_path, monkeypatch):
    monkeypatch.setattr("neuralcodec.atomic_file.temporary_path", lambda _: tmp_path / "no" / "x")
    with pytest.raises(OutputError, match="out"):
        AtomicFile(tmp_path / "out", overwrite=False)


def test_scratch_is_removed_at_an_end_at_once_and_is_no_output(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "old").touch()
    with atomic_file.scratch_folder(folder) as scratch:
        assert not list(scratch.iterdir())
        file = AtomicFile(scratch / "coded", overwrite=False)
        assert not atomic_file.remove_all_temporaries()
        assert not folder.exists()
        file.abort()
        output = AtomicFile(tmp_path / "output", overwrite=False)
        assert atomic_file.remove_all_temporaries()
        output.abort()
    assert not list(tmp_path.iterdir())
