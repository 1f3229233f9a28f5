"""Frames, and what is carried beside them, into a video that players show."""
