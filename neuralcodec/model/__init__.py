"""The networks: everything between planes and symbols. Knows no files and no bytes."""
