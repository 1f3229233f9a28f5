"""Loops of the float networks."""
