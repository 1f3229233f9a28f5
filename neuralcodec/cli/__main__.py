"""`python -m neuralcodec.cli`: the same as `ncodec`."""

from neuralcodec.cli.main import main

if __name__ == "__main__":
    main(prog_name="ncodec")
