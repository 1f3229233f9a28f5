"""In which order frames are coded, and what they refer to."""
