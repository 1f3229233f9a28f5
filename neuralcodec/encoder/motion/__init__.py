"""Where blocks of a frame are predicted from."""
