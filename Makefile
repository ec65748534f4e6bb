# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

# Small arrays: threads of BLAS would only get in each other's way.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest

.PHONY: demo test lint format slow search fuzz cases docs bench bench-quick release-check clean

demo: $(STAMP)
	$(BIN)/postproc demo

test: lint
	$(PYTEST) -m "not slow" -n 2 --cov --cov-report=term

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typed/consumer.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

slow: $(STAMP)
	$(PYTEST) -m slow

FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 0
fuzz: $(STAMP)
	$(BIN)/python -c "import atheris" 2>/dev/null || \
		$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fuzz]"
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.attack.guided --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

cases: $(STAMP)
	$(PYTEST) tests/cases tests/postproc/files/test_cases.py tests/cli/test_layouts.py tests/cli/test_labels_only.py

search: $(STAMP)
	HYPOTHESIS_PROFILE=search $(PYTEST) -m "not slow" -n 2

docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -f docs/site/mkdocs.yml
	$(BIN)/python docs/site/links.py build/site

bench: $(STAMP)
	$(BIN)/python -m benchmarks.speed

bench-quick: $(STAMP)
	$(BIN)/python -m benchmarks.speed --quick

release-check:
	.ci/release-check

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

.venv/installed-docs: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
