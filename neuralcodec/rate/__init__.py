"""Rate control: the quality of each frame, so that a whole file meets a target."""
