"""Model files: their identity, and what a file that is none of them leads to."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from codec_clips import city_frames, coded_gops, cropped, installed_from, tiny_model, write_nlc
from safetensors import safe_open
from safetensors.torch import save

import neuralcodec
from neuralcodec.errors import ModelError
from neuralcodec.model import installed as installed_files
from neuralcodec.model.installed import file_sha256, installed_file, installed_models
from neuralcodec.model.model_file import (
    DEFAULT_MODEL,
    InstalledModel,
    find_model,
    load_model,
    model_bytes,
)
from neuralcodec.model.tables import make_tables

RECORD: dict[str, object] = {"steps": 12, "data": ["a", "b"]}


@pytest.fixture(scope="module")
def sound() -> bytes:
    return model_bytes(tiny_model(), RECORD)


def parts_of(data: bytes, folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    path = folder / "parts.safetensors"
    path.write_bytes(data)
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def refusal(path: Path) -> str:
    """What is said of a file that is no model: always one line that begins with its name."""
    with pytest.raises(ModelError) as caught:
        load_model(str(path))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    assert message.startswith(f"{path}: ")
    return message


def test_a_model_comes_back_from_its_file_as_it_was(sound: bytes, tmp_path: Path):
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(sound)
    found = load_model(str(path))
    model = tiny_model()
    assert found.model.config == model.config
    assert found.name == "tiny"
    assert found.record == RECORD
    expected = model.state_dict()
    assert expected.keys() == found.model.state_dict().keys()
    for key, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, expected[key])
    for one, other in zip(found.tables.symbols, make_tables().symbols, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(found.tables.decisions, make_tables().decisions)
    assert not found.model.training
    assert not any(p.requires_grad for p in found.model.parameters())


def test_the_same_model_gives_the_same_file(sound: bytes, tmp_path: Path):
    assert model_bytes(tiny_model(), RECORD) == sound
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(sound)
    assert model_bytes(load_model(str(path)).model, RECORD) == sound


def test_a_model_is_known_by_the_sha256_of_its_file(sound: bytes, tmp_path: Path):
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(sound)
    assert load_model(str(path)).sha256 == hashlib.sha256(sound).digest()


def test_the_default_model_is_installed_and_found_by_its_name_and_hash(
    installed_model: InstalledModel,
):
    assert DEFAULT_MODEL in installed_models()
    found = find_model(DEFAULT_MODEL, installed_model.sha256)
    assert (found.name, found.sha256) == (DEFAULT_MODEL, installed_model.sha256)


def test_the_index_names_the_files_that_are_installed():
    found = {name: file_sha256(installed_file(name)) for name in installed_models()}
    assert found == installed_models()
    folder = installed_files.weights_folder()
    assert {path.stem for path in folder.glob("*.safetensors")} == found.keys()


def test_an_installed_model_that_is_damaged_is_named(
    installed_model: InstalledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "fast.safetensors").write_bytes(model_bytes(tiny_model(), RECORD))
    index = {DEFAULT_MODEL: installed_model.sha256.hex()}
    (tmp_path / "index.json").write_text(json.dumps(index))
    monkeypatch.setattr(installed_files, "weights_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match="installed model 'fast' is damaged"):
        find_model(DEFAULT_MODEL, installed_model.sha256)


@pytest.mark.parametrize(
    ("networks", "words"),
    [(None, "made for an earlier version"), ("7", "made for version 7")],
)
def test_a_model_of_another_version_of_the_networks_says_so(
    networks: str | None, words: str, sound: bytes, tmp_path: Path
):
    tensors, metadata = parts_of(sound, tmp_path)
    metadata.pop("networks")
    path = tmp_path / "other.safetensors"
    path.write_bytes(save(tensors, metadata | ({"networks": networks} if networks else {})))
    message = refusal(path)
    assert f"{words} of the networks" in message and "retrain it" in message


def test_a_name_that_is_not_installed_is_told_with_those_that_are():
    with pytest.raises(ModelError, match=f"'slow' is not installed; there is: .*{DEFAULT_MODEL}"):
        load_model("slow")


def test_a_model_file_that_is_not_there_is_named(tmp_path: Path):
    assert "no such model file" in refusal(tmp_path / "none.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    refusal(tmp_path / "folder.safetensors")


def test_a_pickled_file_is_refused_and_nothing_in_it_is_run(tmp_path: Path):
    path, trace = tmp_path / "evil.safetensors", tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (trace,)

    torch.save({"model": Evil()}, path)
    refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize("data", [b"", b"\0", b"not a model", bytes(4096), b"\xff" * 100])
def test_garbage_is_refused(data: bytes, tmp_path: Path):
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(data)
    refusal(path)


@pytest.mark.parametrize("kept", [1, 8, 100, 0.5, 0.999, -1])
def test_a_truncated_file_is_refused(kept: float, sound: bytes, tmp_path: Path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(sound[: int(kept * len(sound)) if 0 < kept < 1 else int(kept)])
    refusal(path)


Tensors = dict[str, torch.Tensor]
Metadata = dict[str, str]


def _config(**changes: object) -> Callable[[Tensors, Metadata], None]:
    def change(_: Tensors, metadata: Metadata) -> None:
        config = json.loads(metadata["config"])
        config.update(changes)
        metadata["config"] = json.dumps(config)

    return change


def _table(key: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
    def apply(tensors: Tensors, _: Metadata) -> None:
        tensors[f"tables.{key}"] = change(tensors[f"tables.{key}"].clone())

    return apply


def _set(tensor: torch.Tensor, place: int, value: int) -> torch.Tensor:
    tensor[place] = value
    return tensor


def _weight(value: float) -> Callable[[Tensors, Metadata], None]:
    def change(tensors: Tensors, _: Metadata) -> None:
        tensors["model.motion_prior.mix.0.bias"][0] = value

    return change


@pytest.mark.parametrize(
    "change",
    {
        "without metadata": lambda t, m: m.clear(),
        "of networks that come later": lambda t, m: m.update(networks="3"),
        "without configuration": lambda t, m: m.pop("config"),
        "configuration that is no JSON": lambda t, m: m.update(config="{"),
        "configuration that is a list": lambda t, m: m.update(config="[1]"),
        "configuration that is a number": lambda t, m: m.update(config="1"),
        "record that is no JSON": lambda t, m: m.update(record="{"),
        "unknown element": _config(depth=3),
        "other size": _config(channels=16),
        "size of nothing": _config(prior_channels=0),
        "negative size": _config(latents=-1),
        "size as text": _config(latents="20"),
        "groups that are no list": _config(groups=3),
        "no groups": _config(groups=[]),
        "channels beyond sense": _config(channels=10**9),
        "the most of everything": _config(
            channels=4096,
            context_blocks=64,
            intra_analysis_blocks=64,
            inter_synthesis_blocks=64,
        ),
        "blocks beyond sense": _config(context_blocks=10**7),
        "half a channel": _config(channels=8.5),
        "groups that go back": _config(groups=[12, 4, 20]),
        "groups short of the latents": _config(groups=[4, 12]),
        "one anchor": _config(quality_anchors=1),
        "negative lambda": _config(lambda_min=-1),
        "lambda as text": _config(lambda_max="8000"),
        "name that leads elsewhere": _config(name="../tiny"),
        "name that controls terminals": _config(name="tiny\x1b[2J"),
        "name that is a number": _config(name=7),
        "without a tensor": lambda t, m: t.pop("model.log_table"),
        "tensor too many": lambda t, m: t.update({"model.more": torch.zeros(1)}),
        "without tables": lambda t, m: t.pop("tables.symbols"),
        "table that does not add up": _table("symbols", lambda t: t + 1),
        "table with an impossible symbol": _table("symbols", lambda t: _set(_set(t, 0, 0), 1, 3)),
        "table cut short": _table("symbols", lambda t: t[:-1]),
        "too few tables": _table("sizes", lambda t: t[:-1]),
        "too few decisions": _table("decisions", lambda t: t[:-1]),
        "certain yes": _table("decisions", lambda t: _set(t, 63, 1 << 24)),
        "certain no": _table("decisions", lambda t: _set(t, 0, 0)),
        "weights beyond exact sums": _weight(1e6),
        "weights that are no numbers": _weight(float("nan")),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_file_that_breaks_a_rule_is_refused(
    change: tuple[str, Callable[[Tensors, Metadata], object]], sound: bytes, tmp_path: Path
):
    tensors, metadata = parts_of(sound, tmp_path)
    change[1](tensors, metadata)
    path = tmp_path / "altered.safetensors"
    path.write_bytes(save(tensors, metadata or None))
    refusal(path)


def test_a_video_made_with_another_model_says_which_and_decodes_with_its_file(tmp_path: Path):
    installed = installed_from(tiny_model(), tmp_path)
    fmt, frames = cropped(*city_frames(2), 32, 32)
    video = write_nlc(tmp_path / "a.nlc", installed, fmt, coded_gops(installed, fmt, frames))
    shown = tmp_path / "a.y4m"
    with pytest.raises(ModelError) as caught:
        neuralcodec.decode(video, shown, device="cpu")
    message = str(caught.value)
    assert "'tiny'" in message and installed.sha256.hex()[:16] in message
    assert "--model" in message and "\n" not in message
    assert not shown.exists()

    altered = tiny_model()
    with torch.no_grad():
        altered.intra.head.bias += 1
    other = tmp_path / "other" / "tiny.safetensors"
    other.parent.mkdir()
    other.write_bytes(model_bytes(altered, {}))
    with pytest.raises(ModelError, match=installed.sha256.hex()[:16]):
        neuralcodec.decode(video, shown, device="cpu", model=str(other))

    model = str(tmp_path / "tiny.safetensors")
    assert neuralcodec.decode(video, shown, device="cpu", model=model).frames == 2
