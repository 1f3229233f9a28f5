"""What the motion of a block can say."""

FIRST, SECOND, BOTH = 0, 1, 2  # which references predict it; both: their mean
