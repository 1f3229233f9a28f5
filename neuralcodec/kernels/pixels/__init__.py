"""Loops over planes: samples, tokens and loop filters."""
