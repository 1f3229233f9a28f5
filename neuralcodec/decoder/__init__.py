"""From GOP records to frames."""
