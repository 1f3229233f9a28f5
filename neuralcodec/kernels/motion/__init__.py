"""Loops of motion search and motion compensation."""
