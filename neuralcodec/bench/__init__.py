"""Measuring the codec against others: classical peers behind one interface."""
