"""`neuralcodec.open` as a dataset: clips, batches, worker processes, tensors on the device."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from codec_clips import CITY
from torch.utils.data import DataLoader

import neuralcodec
from neuralcodec.codec.tensors import TensorFrame
from neuralcodec.errors import InputError
from neuralcodec.files.random_access import TensorClip, VideoFile

GUIDE = Path(__file__).parent.parent / "docs" / "training_on_nlc.md"


@pytest.fixture(scope="module")
def in_order(small_coded) -> list[TensorFrame]:
    with neuralcodec.open(small_coded, device="cpu") as video:
        return list(video)


def assert_same(found: TensorFrame, expected: TensorFrame, largest_difference: int = 0):
    assert found.pts == expected.pts
    for a, b in zip(found[:3], expected[:3], strict=True):
        assert a.dtype == b.dtype
        assert (a.int() - b.int()).abs().max() <= largest_difference


def test_a_clip_is_its_frames_stacked(small_coded, in_order):
    with neuralcodec.open(small_coded, device="cpu") as video:
        for start, length in ((0, 12), (3, 5), (11, 1), (2, 2)):
            clip = video.clip(start, length)
            assert isinstance(clip, TensorClip)
            assert clip.y.shape == (length, 32, 48)
            assert clip.u.shape == clip.v.shape == (length, 16, 24)
            for i in range(length):
                found = TensorFrame(clip.y[i], clip.u[i], clip.v[i], int(clip.pts[i]))
                assert_same(found, in_order[start + i])


@pytest.mark.parametrize(("start", "length"), [(0, 13), (12, 1), (-1, 1), (0, 0), (3, -1)])
def test_a_clip_that_is_not_all_there_is_an_index_error(start, length, small_coded):
    with neuralcodec.open(small_coded, device="cpu") as video, pytest.raises(IndexError):
        video.clip(start, length)


def test_pictures_of_more_than_max_pixels_are_refused(small_coded):
    with pytest.raises(InputError, match="48x32"):
        neuralcodec.open(small_coded, device="cpu", max_pixels=48 * 32 - 1)
    with neuralcodec.open(small_coded, device="cpu", max_pixels=48 * 32) as video:
        assert len(pickle.loads(pickle.dumps(video))) == 12


@pytest.mark.parametrize(("context", "workers"), [(None, 0), ("fork", 2), ("spawn", 1)])
@pytest.mark.skipif(os.name != "posix", reason="fork as in POSIX")
def test_a_data_loader_gives_the_frames_with_any_kind_of_workers(
    context, workers, small_coded, in_order
):
    with neuralcodec.open(small_coded, device="cpu") as video:
        first = video[5]  # so that a GOP is half decoded when the workers start
        loader = DataLoader(
            video,
            batch_size=5,
            num_workers=workers,
            multiprocessing_context=context,
            timeout=60 if workers else 0,
        )
        batches = list(loader)
        assert_same(first, in_order[5])
        assert_same(video[6], in_order[6])  # the parent's own goes on
    assert [len(batch.y) for batch in batches] == [5, 5, 2]
    found = [TensorFrame(*parts) for batch in batches for parts in zip(*batch, strict=True)]
    # Workers compute with one thread each: the rounding of bfloat16 may be another.
    for frame, expected in zip(found, in_order, strict=True):
        assert_same(frame, expected, largest_difference=3 if workers else 0)


def test_a_pickled_video_opens_again_from_any_folder(small_coded, in_order, tmp_path, monkeypatch):
    monkeypatch.chdir(small_coded.parent)
    with neuralcodec.open(small_coded.name, device="cpu") as video:
        data = pickle.dumps(video)
    monkeypatch.chdir(tmp_path)
    again: VideoFile = pickle.loads(data)
    with again:
        assert len(again) == 12
        assert_same(again[7], in_order[7])


def test_a_closed_video_says_so(small_coded):
    video = neuralcodec.open(small_coded, device="cpu")
    video[1]
    video.close()
    video.close()
    for use in (lambda: video[2], lambda: len(video), lambda: video.clip(0, 2)):
        with pytest.raises(ValueError, match=f"{small_coded.name} is closed"):
            use()


def test_the_example_of_the_guide_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert code
    (tmp_path / "clips").symlink_to(GUIDE.parent.parent / "clips")
    (tmp_path / "example.py").write_text(code[1])
    result = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(GUIDE.parent.parent)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout == "torch.Size([2, 4, 240, 432]) torch.Size([2, 4])\n", result.stderr


@pytest.mark.gpu
def test_frames_decoded_on_a_gpu_stay_there(small_coded, in_order):
    with neuralcodec.open(small_coded, device="cuda") as video:
        clip = video.clip(3, 4)
        frame = video[9]
    assert all(plane.is_cuda for plane in (*frame[:3], *clip[:3]))
    assert not clip.pts.is_cuda
    # Other roundings than on the CPU, never another picture.
    assert (frame.y.cpu().int() - in_order[9].y.int()).abs().max() <= 8


@pytest.mark.gpu
def test_spawned_workers_can_decode_on_a_gpu(small_coded, in_order):
    with neuralcodec.open(small_coded, device="cuda") as video:
        loader = DataLoader(
            video,
            batch_size=None,
            num_workers=1,
            multiprocessing_context="spawn",
            collate_fn=_to_cpu,
            timeout=60,
        )
        assert [int(frame.pts) for frame in loader] == [frame.pts for frame in in_order]


def _to_cpu(frame: TensorFrame) -> TensorFrame:
    return TensorFrame(frame.y.cpu(), frame.u.cpu(), frame.v.cpu(), frame.pts)


def test_a_program_may_end_with_a_video_open_that_is_still_being_decoded(tmp_path):
    coded = tmp_path / "a.nlc"
    neuralcodec.encode(CITY, coded, frames=6, preset="fast", device="cpu")
    program = "import sys, neuralcodec; video = neuralcodec.open(sys.argv[1]); video[0]"
    run = subprocess.run([sys.executable, "-c", program, coded], capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")
