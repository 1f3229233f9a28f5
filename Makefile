PYTHON ?= python
CLIPS ?= $(or $(wildcard ../shared/data/eval/*),clips/city.mp4)
# VP9 in one pass gives the same bits with and without low delay: it is measured once.
BENCH_OPTIONS ?= --codecs ncodec,x264,x265,svtav1,vp9:2 --frames 96 --points 4 --metrics psnr --repeats 1

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

# The shipped files came about in these stages, by the code of its time (docs/models); this repeats
# them with the code of now. `fast` had 192 latent channels until stage 4 (training/widen.py), and a
# KLT until stage 6: new models have all that stage 7 brought from the beginning, where `rebase` only
# begins the priors anew. Stage 8 and the beginning of `base` were trained on a GPU, by the clock.
HELD_OUT = $(foreach clip,davis_bus gopro_max_walk intel_car-detection sam3_0001,--held-out $(clip))
TRAIN = $(PYTHON) -m neuralcodec.training runs/cache $(HELD_OUT) --threads 1
TRAIN_ON_GPU = $(PYTHON) scripts/train_on_gpu.py --bundle runs/bundle --piece-mib 4000
weights:  ## Train the weights that the package ships: make weights TRAINING_CLIPS=folder
	@test -n "$(TRAINING_CLIPS)" || { echo "Name a folder: make weights TRAINING_CLIPS=clips" >&2; exit 2; }
	$(PYTHON) -m neuralcodec.training.frame_cache $(TRAINING_CLIPS) -o runs/cache --exclude kivy_cityCC0
	$(TRAIN) -o runs/fast-1 --steps 4000 --rate 6e-4
	$(TRAIN) -o runs/fast-2 --steps 5500 --rate 8e-4 --start-from runs/fast-1/best.safetensors
	$(TRAIN) -o runs/fast-3 --steps 5800 --rate 5e-4 --seed 3 --start-from runs/fast-2/best.safetensors
	$(TRAIN) -o runs/fast-4 --steps 6000 --rate 5e-4 --seed 4 --start-from runs/fast-3/best.safetensors
	$(TRAIN) -o runs/fast-5 --steps 5200 --rate 6e-4 --seed 5 --start-from runs/fast-4/best.safetensors --no-vectors
	$(TRAIN) -o runs/fast-6 --steps 5500 --rate 5e-4 --seed 6 --start-from runs/fast-5/best.safetensors --no-vectors
	$(PYTHON) -m neuralcodec.training.rebase runs/fast-6/best.safetensors runs/cache $(HELD_OUT) -o runs/rebased.safetensors
	$(TRAIN) -o runs/fast-7 --steps 5500 --rate 6e-4 --seed 7 --start-from runs/rebased.safetensors
	$(PYTHON) -m neuralcodec.training.vectors runs/fast-7/best.safetensors runs/cache $(HELD_OUT) --rounds 4 -o runs/fast-7.safetensors
	$(PYTHON) scripts/pack_gpu_bundle.py $(TRAINING_CLIPS) --exclude kivy_cityCC0 --out runs/bundle
	$(TRAIN_ON_GPU) --model fast --minutes 4.2 --rate 7e-4 --start-from runs/fast-7.safetensors --out runs/fast-8
	$(TRAIN_ON_GPU) --model base --minutes 7.1 --rate 5e-4 --start-from runs/fast-8/weights.safetensors --out runs/base
	$(PYTHON) -m neuralcodec.training.scale_priors runs/fast-8/weights.safetensors runs/cache $(HELD_OUT) --seed 3 --steps 500 \
		-o runs/fast-8.safetensors
	$(PYTHON) -m neuralcodec.training.scale_priors runs/base/weights.safetensors runs/cache $(HELD_OUT) --seed 3 --steps 240 \
		-o runs/base.safetensors
	$(PYTHON) -m neuralcodec.training.loop_filters runs/fast-8.safetensors runs/cache $(HELD_OUT) --steps 240 \
		-o runs/fast-8-filters.safetensors
	$(TRAIN) -o runs/fast-9 --steps 3600 --rate 3e-4 --seed 9 --start-from runs/fast-8-filters.safetensors --no-vectors
	$(PYTHON) -m neuralcodec.training.loop_filters runs/fast-9/best.safetensors runs/cache $(HELD_OUT) --seed 5 --steps 160 \
		-o neuralcodec/model/weights/fast.safetensors
	$(PYTHON) -m neuralcodec.training.loop_filters runs/base.safetensors runs/cache $(HELD_OUT) --seed 5 --steps 100 \
		--filters-of neuralcodec/model/weights/fast.safetensors -o runs/base-filters.safetensors
	$(TRAIN) -o runs/base-10 --model base --steps 1050 --rate 1.5e-4 --seed 10 --start-from runs/base-filters.safetensors --no-vectors
	$(PYTHON) -m neuralcodec.training.half_precision runs/base-10/best.safetensors -o neuralcodec/model/weights/base.safetensors

MODEL ?= fast
RESULTS = results/bench$(patsubst %,-%,$(notdir $(basename $(filter-out fast,$(MODEL)))))
bench:  ## Compare ncodec with x264, x265, SVT-AV1, VP9: make bench CLIPS='a.mkv b.mkv' MODEL=base
	ncodec bench $(CLIPS) $(BENCH_OPTIONS) --model $(MODEL) --yes --json $(RESULTS).json --csv $(RESULTS).csv \
		--markdown $(RESULTS).md --plot $(RESULTS).png

clean:  ## Remove caches and build outputs
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis htmlcov .coverage
	find neuralcodec tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
