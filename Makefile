# Every target sets up what it needs: a virtual environment outside the clone, keyed by the list of dependencies.
.PHONY: demo test test-slow test-core test-minimum lint types doctest examples pictures scripts docs bench bench-quick wheel clean
.ONESHELL:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

export PYTHONPATH := $(CURDIR)
# modules are compiled when they are first imported, once, wherever pip has not done so
export PYTHONDONTWRITEBYTECODE :=
FULL := all test docs
QUICK := $(filter-out bench_gpu,$(patsubst benchmarks/%.py,%,$(wildcard benchmarks/bench_*.py benchmarks/first_page.py)))
TESTS := -m pytest -n 2 --dist=worksteal -q
NO_EXTRAS := "import importlib.util as u; assert not [n for n in ('torch', 'timm', 'faiss', 'matplotlib') if u.find_spec(n)]"

demo:  ## predict, or abstain, on an embedded data set: a table and a picture, from the light core and matplotlib
	python="$$(.ci/venv plot)/bin/python"
	"$$python" .ci/example.py examples/plot_quickstart.py out/quickstart.png

test:  ## the tests, with every extra; those that take long are in test-slow
	python="$$(.ci/venv $(FULL))/bin/python"
	"$$python" $(TESTS) -m "not slow"

test-slow:  ## the tests that take long or much memory
	python="$$(.ci/venv $(FULL))/bin/python"
	"$$python" $(TESTS) -m slow

test-minimum:  ## the tests of the core, without extras, with the oldest versions that pyproject.toml declares
	python="$$(.ci/venv --minimum pytest)/bin/python"
	"$$python" -c $(NO_EXTRAS)
	"$$python" $(TESTS) -m "not slow"

test-core:  ## the tests of the core, without torch, timm, faiss and matplotlib
	python="$$(.ci/venv pytest)/bin/python"
	"$$python" -c $(NO_EXTRAS)
	"$$python" $(TESTS) -m "not slow"

lint:
	python="$$(.ci/venv $(FULL))/bin/python"
	"$$python" -m ruff check .
	"$$python" -m ruff format --check .

types:
	python="$$(.ci/venv $(FULL))/bin/python"
	"$$python" -m mypy

doctest:
	python="$$(.ci/venv $(FULL))/bin/python"
	MPLBACKEND=Agg "$$python" -m pytest -q --doctest-modules abstain
	"$$python" .ci/readme.py

examples: pictures scripts  ## every example

pictures:  ## the examples that end in a picture, which the gallery of the docs runs, too
	python="$$(.ci/venv $(FULL))/bin/python"
	for example in examples/plot_*.py; do
	    echo "== $$example"
	    "$$python" .ci/example.py "$$example" "out/$$(basename "$$example" .py).png"
	done

scripts:  ## the other examples; ImageNet features on the shared sample where it is, on digits where it is not
	python="$$(.ci/venv $(FULL))/bin/python"
	echo "== examples/finetune.py, one process and two"
	"$$python" examples/finetune.py --out out/finetune_alone
	"$$python" -m torch.distributed.run --nproc-per-node=2 examples/finetune.py --out out/finetune_two
	echo "== examples/cluster.py"
	"$$python" examples/cluster.py
	echo "== examples/imagenet_features.py"
	"$$python" examples/imagenet_features.py --out out/imagenet_digits
	bash benchmarks/imagenet_sample.sh "$$python"

docs:  ## Sphinx, warnings are errors
	python="$$(.ci/venv $(FULL))/bin/python"
	"$$python" -m sphinx -W --keep-going -q -b html docs docs/_build/html
	echo "docs/_build/html/index.html"

bench:  ## the benchmarks whose tables are kept in benchmarks/results
	python="$$(.ci/venv $(FULL))/bin/python"
	"$$python" benchmarks/bench_guarantee.py
	"$$python" benchmarks/bench_promises.py
	"$$python" benchmarks/bench_heads.py
	"$$python" benchmarks/bench_speed.py
	"$$python" benchmarks/bench_quality.py
	"$$python" benchmarks/bench_difficulty.py
	"$$python" benchmarks/bench_selection.py
	"$$python" benchmarks/bench_calibration.py
	"$$python" benchmarks/bench_aslp.py
	"$$python" benchmarks/bench_dense.py
	"$$python" benchmarks/bench_mistakes.py
	"$$python" benchmarks/bench_auto.py
	"$$python" benchmarks/bench_labels.py
	"$$python" benchmarks/bench_monitor.py
	"$$python" benchmarks/first_page.py
	"$$python" benchmarks/bench_finetune.py
	"$$python" benchmarks/bench_segment.py
	"$$python" benchmarks/bench_papers.py
	"$$python" benchmarks/bench_throughput.py
	"$$python" benchmarks/bench_gpu.py

bench-quick: $(addprefix quick-,$(QUICK))  ## every benchmark that needs no GPU, small, and nothing is kept

quick-%: benchmarks/%.py
	python="$$(.ci/venv $(FULL))/bin/python"
	"$$python" $< --quick

wheel:  ## build the wheel, install it alone, use it from another folder, and do the ten jobs of a user with it
	python="$$(.ci/venv pytest)/bin/python"
	rm -rf out/wheel build *.egg-info
	"$$python" -m pip --quiet --disable-pip-version-check wheel --no-deps -w out/wheel .
	"$$python" -m pip --quiet --disable-pip-version-check install --no-deps --target out/wheel/site out/wheel/*.whl
	cd out/wheel
	PYTHONPATH="$$PWD/site" "$$python" ../../.ci/smoke.py
	cd ../..
	python="$$(.ci/venv $(FULL))/bin/python"
	jobs="$$PWD/examples/jobs" site="$$PWD/out/wheel/site"
	mkdir -p out/wheel/empty
	cd out/wheel/empty
	for job in "$$jobs"/*.py; do
	    echo "== $$job"
	    PYTHONPATH="$$site" "$$python" -W error "$$job"
	done

clean:
	rm -rf out build docs/_build docs/generated docs/gallery *.egg-info
