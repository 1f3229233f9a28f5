"""Pixel loops compiled by Numba: what networks and tensor operations are slow at.

Each file has one subject: plain Python loops, and the function that gives tensors to them. The
torch version that does the same stays beside the networks: it is what tests compare with, what
runs on GPUs, and what a machine falls back to where nothing can be compiled.
"""
