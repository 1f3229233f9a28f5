"""Training of models from a folder of clips: `python -m neuralcodec.training --help`."""
