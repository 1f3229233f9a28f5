PYTHON ?= python
CLIPS ?= $(or $(wildcard ../shared/data/eval/*),clips/city.mp4)
# VP9 in one pass gives the same bits with and without low delay: it is measured once.
BENCH_OPTIONS ?= --codecs ncodec,ncodec:lowdelay,x264,x265,svtav1,vp9:2 --frames 96 --points 4 --metrics psnr --repeats 1

.DEFAULT_GOAL := help
.PHONY: help install test lint format docs weights bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:  ## Install the package for development, in the tested versions
	$(PYTHON) -m pip install -c constraints.txt -e '.[dev]'

test: lint  ## Check style and types, then run the tests, a process for each core
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --maxprocesses 8 --dist loadfile

lint:  ## Check style (ruff) and types (mypy)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format:  ## Rewrite the code in the project's style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs:  ## Write docs/cli.md anew from the commands' own help
	$(PYTHON) scripts/make_cli_reference.py

# What made the shipped file, stage by stage, is in docs/models; this trains one like it from nothing.
HELD_OUT = $(foreach clip,davis_bus gopro_max_walk intel_car-detection sam3_0001,--held-out $(clip))
TRAIN = $(PYTHON) -m neuralcodec.training runs/cache $(HELD_OUT)
weights:  ## Train weights like those that the package ships: make weights TRAINING_CLIPS=folder
	@test -n "$(TRAINING_CLIPS)" || { echo "Name a folder: make weights TRAINING_CLIPS=clips" >&2; exit 2; }
	$(PYTHON) -m neuralcodec.training.frame_cache $(TRAINING_CLIPS) -o runs/cache --exclude kivy_cityCC0
	$(TRAIN) -o runs/fast-1 --steps 20000
	$(PYTHON) -m neuralcodec.training.motion runs/fast-1/best.safetensors runs/cache $(HELD_OUT) --rounds 4 -o runs/fast-1.safetensors
	$(TRAIN) -o runs/fast-2 --steps 6000 --seed 2 --start-from runs/fast-1.safetensors
	$(PYTHON) -m neuralcodec.training.scale_priors runs/fast-2/best.safetensors runs/cache $(HELD_OUT) --seed 3 --steps 500 \
		-o runs/fast-2.safetensors
	$(PYTHON) -m neuralcodec.training.loop_filters runs/fast-2.safetensors runs/cache $(HELD_OUT) --seed 5 --steps 160 \
		-o runs/fast-3.safetensors
	$(PYTHON) -m neuralcodec.training.half_precision runs/fast-3.safetensors -o runs/fast.safetensors
	$(PYTHON) scripts/ship_weights.py runs/fast.safetensors

MODEL ?= fast
RESULTS = results/bench$(patsubst %,-%,$(notdir $(basename $(filter-out fast,$(MODEL)))))
bench:  ## Compare ncodec with x264, x265, SVT-AV1, VP9: make bench CLIPS='a.mkv b.mkv' MODEL=own.safetensors
	ncodec bench $(CLIPS) $(BENCH_OPTIONS) --model $(MODEL) --yes --json $(RESULTS).json --csv $(RESULTS).csv \
		--markdown $(RESULTS).md --plot $(RESULTS).png

clean:  ## Remove caches and build outputs
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis htmlcov .coverage
	find neuralcodec tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
