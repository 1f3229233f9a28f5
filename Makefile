PYTHON ?= python
CLIPS ?= $(wildcard data/eval/*)
CODECS ?= x264,x265,svtav1
FRAMES ?= 96

.DEFAULT_GOAL := help
.PHONY: help install test lint format weights bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:  ## Install the package for development, in the tested versions
	$(PYTHON) -m pip install -c constraints.txt -e '.[dev]'

test: lint  ## Check style and types, then run the tests
	$(PYTHON) -m pytest

lint:  ## Check style (ruff) and types (mypy)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format:  ## Rewrite the code in the project's style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# The exact commands behind the weights in neuralcodec/model/weights go here, in order.
weights:  ## Train the weights that the package ships
	$(PYTHON) -m neuralcodec.training

bench:  ## Measure x264, x265 and SVT-AV1 on CLIPS='a.mkv b.mkv'
	@test -n "$(CLIPS)" || { echo "Name the clips: make bench CLIPS='a.mkv b.mkv'" >&2; exit 2; }
	$(PYTHON) scripts/compare_peers.py $(CLIPS) --frames $(FRAMES) --codecs $(CODECS) --out results/peers.json

clean:  ## Remove caches and build outputs
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis htmlcov .coverage
	find neuralcodec tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
