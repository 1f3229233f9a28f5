"""Loops of the parser, which are exact."""
