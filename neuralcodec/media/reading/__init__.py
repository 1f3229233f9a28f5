"""Frames out of a source, with exact times, and what is carried beside them."""
