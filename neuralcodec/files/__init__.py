"""What is done to whole files: encode, decode, check, repair, describe, read at random."""
