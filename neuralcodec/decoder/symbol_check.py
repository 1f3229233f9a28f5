"""Whether the symbols of GOPs are those that were coded; no picture is computed."""

import torch

from neuralcodec.container import Damage, GopRecord, StreamHeader
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.model.model_file import find_model


class SymbolCheck:
    """Parses GOPs of one file to their end."""

    def __init__(self, header: StreamHeader, name: str, model: str | None) -> None:
        """Raises ModelError where the model of the file is not here, or `model` is another."""
        installed = find_model(header.model_name, header.model_sha256, model)
        settings = DecoderSettings(1, torch.device("cpu"), torch.float32)
        self._decoder = Decoder(installed, header.format, settings, name)

    @property
    def damage(self) -> list[Damage]:
        """Of the GOPs that were not whole, in file order."""
        return self._decoder.left_out

    def is_whole(self, gop: GopRecord) -> bool:
        return self._decoder.is_whole(gop)
