# Everything runs in its own virtual environment, which is made on first use and updated when a pin changes.
#
#   make demo       for each task: train on an embedded sample, report, use the model
#   make test       the whole test suite
#   make test-torch23   the suite with torch 2.3, NumPy 1.26 and torchtext 0.18 (see constraints-torch23.txt for the reasons)
#   make check      format, lint, types, docstrings, doctests and tests: what every change has to pass
#   make fuzz       100,000 damaged inputs for every reader; the suite runs 2,000 of each
#   make bench      speed compared with Flair, spaCy, plain torch and scikit-learn, half an hour; needs $SEQKIT_DATA
#
# Variables: make demo PYTHON=python3.12 VENV=/somewhere/else PIP_FLAGS="--index-url …" PYTEST_FLAGS="-n 2 -k crf"

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
PYTEST_FLAGS ?=
DEMO ?= build/demo
PEERS ?= build/peers
TORCH23 ?= build/torch23
THREADS ?= 2
VECTORS ?=
ROUNDS ?=

BIN := $(VENV)/bin
BENCH_FLAGS := --threads $(THREADS) $(if $(ROUNDS),--rounds $(ROUNDS))
READY := $(VENV)/.ready

.DELETE_ON_ERROR:
.PHONY: help venv demo demo-tag demo-classify demo-pairs demo-lm demo-generate demo-contours demo-tones demo-spelled demo-melodies demo-gestures demo-translate test test-torch23 fuzz check format-check lint types docstrings format wheel bench clean

help:
	@sed -n 's/^#   \(make .*\)/\1/p' Makefile

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (torch is most of the download)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[dev,audio,detokenize,midi,plots,scores]'
	@touch $@

# Each part trains on an embedded sample, scores the model on the test split, and uses it, in less than a minute.
demo: demo-tag demo-classify demo-pairs demo-lm demo-generate demo-contours demo-tones demo-spelled demo-melodies demo-gestures demo-translate

demo-tag: $(READY)
	$(BIN)/seqkit tag train --recipe sample-ner --output $(DEMO)/tag --force
	$(BIN)/seqkit tag evaluate sample-ner --model $(DEMO)/tag --split test
	echo "Jordan flew from Jordan to Paris with Paris Hilton on Monday." | $(BIN)/seqkit tag --model $(DEMO)/tag --output-format inline

demo-classify: $(READY)
	$(BIN)/seqkit classify train --recipe sample-reviews --output $(DEMO)/classify --force
	$(BIN)/seqkit classify evaluate sample-reviews --model $(DEMO)/classify --split test
	echo "The plot was dull, but the ending was wonderful." | $(BIN)/seqkit classify --model $(DEMO)/classify
	echo "The ending was wonderful, but the plot was dull." | $(BIN)/seqkit classify --model $(DEMO)/classify

demo-pairs: $(READY)
	$(BIN)/seqkit classify train --recipe sample-pairs --output $(DEMO)/pairs --force
	$(BIN)/seqkit classify evaluate sample-pairs --model $(DEMO)/pairs --split test
	printf 'An old dog chases a cat.\tA cat is chased by an animal.\n' | $(BIN)/seqkit classify --model $(DEMO)/pairs
	printf 'An old dog chases a cat.\tA cat chases a dog.\n' | $(BIN)/seqkit classify --model $(DEMO)/pairs

demo-lm: $(READY)
	$(BIN)/seqkit lm train --recipe sample-sentences --output $(DEMO)/lm --force
	$(BIN)/seqkit lm evaluate sample-sentences --model $(DEMO)/lm --split test
	echo "Rosa made bread with flour and milk." | $(BIN)/seqkit lm score --model $(DEMO)/lm
	echo "Rosa made bread with flower and milk." | $(BIN)/seqkit lm score --model $(DEMO)/lm
	$(BIN)/seqkit lm sample --model $(DEMO)/lm --count 3 --seed 1

demo-generate: $(READY)
	$(BIN)/seqkit generate train --recipe sample-names --output $(DEMO)/generate --force
	$(BIN)/seqkit generate evaluate sample-names --model $(DEMO)/generate --split test
	$(BIN)/seqkit generate sample --model $(DEMO)/generate --condition category=dragon --count 3 --seed 1
	$(BIN)/seqkit generate sample --model $(DEMO)/generate --condition category=river --count 3 --seed 1

demo-translate: $(READY)
	$(BIN)/seqkit translate train --recipe sample-tolari --output $(DEMO)/translator --force
	$(BIN)/seqkit translate evaluate sample-tolari --model $(DEMO)/translator --split test
	echo "the two old dogs see a red boat in the garden ." | $(BIN)/seqkit translate --model $(DEMO)/translator
	$(BIN)/seqkit translate show "the two old dogs see a red boat in the garden ." --model $(DEMO)/translator --output $(DEMO)/translation.png

# From here on of sequences of vectors.
demo-contours: $(READY)
	$(BIN)/seqkit classify train --recipe sample-tones --output $(DEMO)/contours --force
	$(BIN)/seqkit classify evaluate sample-tones --model $(DEMO)/contours --split test
	SEQKIT_CACHE=$(DEMO)/data $(BIN)/seqkit data fetch sample-tones
	head -n 3 $(DEMO)/data/sample-tones/test.jsonl | $(BIN)/seqkit classify --model $(DEMO)/contours

demo-tones: $(READY)
	$(BIN)/seqkit tag train --recipe sample-tones-tag --output $(DEMO)/frames --force
	$(BIN)/seqkit tag evaluate sample-tones --model $(DEMO)/frames --split test
	SEQKIT_CACHE=$(DEMO)/data $(BIN)/seqkit data fetch sample-tones
	head -n 1 $(DEMO)/data/sample-tones/test.jsonl | $(BIN)/seqkit tag --model $(DEMO)/frames
	$(BIN)/seqkit tag show $(DEMO)/data/sample-tones/test.jsonl --model $(DEMO)/frames --output $(DEMO)/frames.png

demo-spelled: $(READY)
	$(BIN)/seqkit transcribe train --recipe sample-tones-transcribe --output $(DEMO)/spelled --force
	$(BIN)/seqkit transcribe evaluate sample-tones --model $(DEMO)/spelled --split test
	SEQKIT_CACHE=$(DEMO)/data $(BIN)/seqkit data fetch sample-tones
	head -n 3 $(DEMO)/data/sample-tones/test.jsonl | $(BIN)/seqkit transcribe --model $(DEMO)/spelled
	$(BIN)/seqkit transcribe show $(DEMO)/data/sample-tones/test.jsonl --model $(DEMO)/spelled --output $(DEMO)/spelled.png

demo-melodies: $(READY)
	$(BIN)/seqkit lm train --recipe sample-melodies --output $(DEMO)/melodies --force
	$(BIN)/seqkit lm evaluate sample-melodies --model $(DEMO)/melodies --split test
	$(BIN)/seqkit lm sample --model $(DEMO)/melodies --length 32 --seed 1 --output $(DEMO)/tune.mid

demo-gestures: $(READY)
	$(BIN)/seqkit generate train --recipe sample-gestures --output $(DEMO)/gestures --force
	$(BIN)/seqkit generate evaluate sample-gestures --model $(DEMO)/gestures --split test
	$(BIN)/seqkit generate sample --model $(DEMO)/gestures --temperature 0 --condition "frames=[[0,0],[0,1],[0,2],[0,3],[0,4],[0,4],[0,4],[1,4],[2,4],[3,4],[4,4],[5,4],[5,4],[5,4]]"

# Doctests are part of the suite: pytest collects them from the modules themselves.
test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

# Versions in constraints-torch23.txt override those in constraints.txt. torchtext's own data sets need torchdata.
test-torch23: $(TORCH23)/.ready
	$(TORCH23)/bin/python -m pytest $(PYTEST_FLAGS)

$(TORCH23)/.ready: pyproject.toml constraints.txt constraints-torch23.txt
	@echo "Setting up $(TORCH23) (on Linux torch brings its CUDA libraries: 2.5 GB to download, 5.5 GB on the disk)"
	$(PYTHON) -m venv $(TORCH23)
	awk -F '==' 'NR == FNR { other[$$1]; print; next } !($$1 in other)' constraints-torch23.txt constraints.txt > $(TORCH23)/constraints.txt
	$(TORCH23)/bin/python -m pip install --quiet $(PIP_FLAGS) -c $(TORCH23)/constraints.txt -e '.[dev,audio,detokenize,midi,plots,scores]' torchdata
	@touch $@

# One reader: make fuzz PYTEST_FLAGS="-k columns"; one case, as printed with a finding: SEQKIT_FUZZ_CASE=columns:1234 make fuzz
fuzz: $(READY)
	SEQKIT_FUZZ_CASES=100000 $(BIN)/python -m pytest tests/fuzz -s $(PYTEST_FLAGS)

check: format-check lint types docstrings test

format-check: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

# Arguments, returns and yields by pydoclint; that every raised error is documented by ruff, because pydoclint would
# also refuse a documented error that a called function raises.
docstrings: $(READY)
	$(BIN)/pydoclint --quiet seqkit
	$(BIN)/ruff check --preview --select DOC501 seqkit

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# Each script also runs alone. ROUNDS=3 changes the scripts' number of rounds. VECTORS=glove.6B.100d.txt: the vectors of Flair's network; otherwise random ones.
bench: $(READY)
	PIP_FLAGS="$(PIP_FLAGS)" benchmarks/environments.sh $(PEERS) $(PYTHON)
	$(BIN)/python benchmarks/tagging_decoding.py $(BENCH_FLAGS)
	$(BIN)/python benchmarks/plain_tagging.py $(BENCH_FLAGS)
	$(BIN)/python benchmarks/flair_tagging.py --flair $(PEERS)/flair $(BENCH_FLAGS) $(if $(VECTORS),--vectors $(VECTORS))
	$(BIN)/python benchmarks/spacy_tagging.py --spacy $(PEERS)/spacy $(BENCH_FLAGS)
	$(BIN)/python benchmarks/classify_throughput.py $(BENCH_FLAGS)
	$(BIN)/python benchmarks/lm_training.py $(BENCH_FLAGS)
	$(BIN)/python benchmarks/cells.py $(BENCH_FLAGS)

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
