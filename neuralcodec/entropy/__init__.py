"""Symbols <-> bytes: integer tables and an ANS coder. Knows nothing of networks."""

from neuralcodec.entropy.coder import Coder, SymbolDecoder, SymbolEncoder

__all__ = ["Coder", "SymbolDecoder", "SymbolEncoder"]
