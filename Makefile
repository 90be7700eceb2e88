# make help lists the targets. Variables: ROS_DISTRO=jazzy|kilted, PYTHON=/path/to/python3, see docs/install.md.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# ROS_DISTRO on the command line is an order; in the environment it may come from a sourced ROS installation.
DISTRO := $(shell tools/distro.sh $(if $(findstring command,$(origin ROS_DISTRO)),'$(ROS_DISTRO)'))
ifeq ($(DISTRO),)
$(error ROS_DISTRO=$(ROS_DISTRO) is not available)
endif
VENV := .venv$(if $(filter-out jazzy,$(DISTRO)),-$(DISTRO))
PREPARE := tools/prepare.sh $(DISTRO) '$(PYTHON)'

PYTHON ?=
ARGS ?=
OUT ?= demo_out
IMAGE ?=
DEPTH ?=
RECORDING ?=

.PHONY: help setup demo test check lint format docs camera clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## create the environment, install ROS 2 and all else, build the package
	@$(PREPARE)

demo: setup ## a robot, the camera and a planner over ROS 2; pictures in OUT=demo_out (IMAGE= for your own photo, DEPTH= if you have it; RECORDING= of a real camera)
	@tools/run.sh --local $(DISTRO) python -m vmem_ros.nodes.demo --out '$(OUT)' \
	  $(if $(IMAGE),--image '$(IMAGE)') $(if $(DEPTH),--depth '$(DEPTH)') \
	  $(if $(RECORDING),--recording '$(RECORDING)') $(ARGS)

# As many tests at once as there are cores, each in one thread; tests of one group one after another.
PYTEST := tools/run.sh --local $(DISTRO) python -m pytest --numprocesses $(shell nproc) --maxprocesses 8 --dist loadgroup

test: setup ## all tests; ARGS='-k surfels' for some, ARGS='-n 0 --pdb' one by one
	@$(PYTEST) $(ARGS)

check: setup ## the tests that are done in four minutes: no ROS processes, no long trainings
	@$(PYTEST) -m 'not slow and not ros' $(ARGS)

lint: ## ruff and mypy
	@$(PREPARE) --install-only
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

format: ## let ruff format the code and sort the imports
	@$(PREPARE) --install-only
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

docs: ## the documentation as a site, in build/site; warnings are errors
	@$(PREPARE) --install-only
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

camera: setup ## run the camera node on your ROS network; ARGS='-p camera.width:=640' for parameters
	@tools/run.sh $(DISTRO) python -m vmem_ros.nodes.camera --ros-args -r __ns:=/vmem --params-file config/camera.yaml $(ARGS)

clean: ## remove what was built and made, keep the environments
	@rm -rf build build-* install install-* log log-* demo_out dist *.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	@rm -rf .venv .venv-*
