"""Puts a model file into the package, under its own name, and into the index of installed models.

    python scripts/ship_weights.py runs/fast.safetensors

Golden files are made anew afterwards: python scripts/make_golden_files.py
"""

import argparse
import json
import shutil
from pathlib import Path

from neuralcodec.model.installed import INDEX, SUFFIX, installed_models, weights_folder
from neuralcodec.model.model_file import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    model = load_model(str(file))  # a sound one
    index = {name: digest.hex() for name, digest in installed_models().items()}
    index[model.name] = model.sha256.hex()
    shutil.copyfile(file, weights_folder() / f"{model.name}{SUFFIX}")
    (weights_folder() / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    print(f"{model.name}: {index[model.name]}")


if __name__ == "__main__":
    main()
