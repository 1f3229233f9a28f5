"""Clips packed for a lent machine: what comes out of the shards is what went in."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_runs import CLIP

from neuralcodec.errors import InputError, UsageError
from neuralcodec.training.clip_shards import MIB, Bundle, pack, read_bundle
from neuralcodec.training.footage import find_footage
from neuralcodec.training.frame_cache import build_cache
from neuralcodec.training.returned_files import read_pieces, write_pieces
from neuralcodec.training.shard_cache import fill_cache

FRAMES = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Two clips of which a shard holds one."""
    folder = tmp_path_factory.mktemp("bundle")
    clips = folder / "clips"
    clips.mkdir()
    for name in ("a", "b"):
        shutil.copyfile(CLIP, clips / f"{name}.mp4")
    size = CLIP.stat().st_size
    pack(find_footage([clips]), folder / "out", ["b", "c"], int(1.5 * size))
    return read_bundle(folder / "out")


def test_no_shard_exceeds_its_limit_and_all_clips_are_in_one(bundle: Bundle):
    assert bundle.shards == ("clips-0.tar", "clips-1.tar")
    for shard in bundle.shards:
        size = (bundle.folder / shard).stat().st_size
        assert CLIP.stat().st_size < size <= 1.5 * CLIP.stat().st_size
    assert sorted(clip.name for clip in bundle.clips) == ["a", "b"]
    assert bundle.held_out == ("b",)


def test_a_clip_larger_than_a_shard_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"city\.mp4 has .* MiB, more than a shard"):
        pack(find_footage([CLIP]), tmp_path, [], MIB // 100)


def test_the_cache_of_a_bundle_is_that_of_its_clips(bundle: Bundle, tmp_path: Path):
    report = fill_cache(bundle, tmp_path / "cache", 1, "av", FRAMES)
    build_cache(find_footage([bundle.folder.parent / "clips"]), tmp_path / "direct", FRAMES)
    assert (report.clips, report.decoded, report.notices) == (2, 2, ())
    for name in ("a.npy", "b.npy"):
        ours, direct = (np.load(tmp_path / f / name) for f in ("cache", "direct"))
        assert np.array_equal(ours, direct)
    ours, direct = (
        {entry["name"]: entry for entry in json.loads((tmp_path / f / "index.json").read_text())}
        for f in ("cache", "direct")
    )
    assert ours == direct
    assert fill_cache(bundle, tmp_path / "cache", 1, "av", FRAMES).decoded == 0


def test_opencv_gives_the_same_luma_and_nearly_the_same_chroma(bundle: Bundle, tmp_path: Path):
    pytest.importorskip("cv2")
    for reader in ("av", "opencv"):
        assert fill_cache(bundle, tmp_path / reader, 1, reader, FRAMES).notices == ()
    av, opencv = (np.load(tmp_path / f / "a.npy").astype(float) for f in ("av", "opencv"))
    rows = av.shape[1] * 2 // 3
    assert np.array_equal(av[:, :rows], opencv[:, :rows])
    error = np.square(av[:, rows:] - opencv[:, rows:]).mean()
    assert 10 * np.log10(255**2 / error) > 45


def test_a_damaged_or_missing_shard_is_told_and_the_others_are_used(bundle: Bundle, tmp_path: Path):
    first, second = bundle.shards
    data = bytearray((bundle.folder / first).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / first).write_bytes(data)
    report = fill_cache(replace(bundle, folder=tmp_path), tmp_path / "cache", 1, "av", FRAMES)
    assert (report.clips, report.decoded) == (0, 0)
    assert f"{second} is not here" in report.notices[0]
    assert "is damaged; send the shard once more" in report.notices[1]
    shutil.copyfile(bundle.folder / second, tmp_path / second)
    report = fill_cache(replace(bundle, folder=tmp_path), tmp_path / "cache", 1, "av", FRAMES)
    assert (report.clips, report.decoded) == (1, 1)


def test_pieces_come_together_again_and_cut_ones_are_found(tmp_path: Path):
    old, new = (bytes(np.random.default_rng(seed).bytes(1000)) for seed in (1, 2))
    assert read_pieces(tmp_path, "checkpoint") is None
    write_pieces(tmp_path, "checkpoint", 9, old, 400)
    pieces = write_pieces(tmp_path, "checkpoint", 10, new, 400)
    assert sorted(tmp_path.iterdir()) == pieces
    assert [piece.stat().st_size for piece in pieces] == [400, 400, 200]
    assert read_pieces(tmp_path, "checkpoint") == (10, new)
    pieces[2].write_bytes(new[800:999])
    with pytest.raises(InputError, match="pieces of checkpoint are missing or cut short"):
        read_pieces(tmp_path, "checkpoint")


def test_training_on_a_gpu_needs_neither_pyav_nor_constriction():
    script = Path(__file__).parent.parent / "scripts" / "train_on_gpu.py"
    code = (
        "import sys; sys.modules['av'] = sys.modules['constriction'] = None\n"
        f"sys.argv = [{str(script)!r}, '--help']\n"
        f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "--bundle" in done.stdout, done.stderr
