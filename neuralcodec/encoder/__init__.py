"""From frames to GOP records: lookahead, decisions, networks."""
