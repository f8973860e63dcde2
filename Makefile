# Commands for those who use n1store and those who change it. `make` alone shows this list.
#
#   make setup         .venv, with n1store in it: .venv/bin/n1store
#   make demo          convert, verify and time recordings: ../shared/n1-data, or synthetic ones
#
#   make test          the tests, but for those of
#   make test-long     every block of the documents, the examples and the demo, reports in a
#                      browser, what the fuzzers found, and figures that are made again
#   make test-quick    each test with one of its cases, and without the slow ones: within a minute
#   make test-compat   tests once more beside SpikeInterface and neuroconv, and with the oldest
#                      versions of all that n1store uses
#   make test-compat-all   tests in each of the environments that are listed below
#   make coverage      the tests of make test, and which lines of n1store/ they run
#   make lint          formatting, linting, types, C warnings
#   make fuzz          each fuzz target for FUZZ_SECONDS;  make fuzz-decode  one of them;
#                      FUZZ_SANITIZERS=memory looks for results that depend on memory never written
#
#   make bench         the scripts of benchmarks/: codec, conversion, memory, NWB, code widths of n1
#   make bench-codec   n1 alone: ratio and speed on one core, beside pcodec and Blosc;
#                      CODEC="--against CHECKOUT" measures that of another checkout in turn
#   make study         every codec on ../shared/n1-data or synthetic recordings, and a report:
#                      build/study/; goes on where it was stopped, STUDY=--overwrite begins anew;
#                      the tables in README.md and docs/codecs.md are of the real recordings
#   make train         the built-in code widths of n1, learned anew from ../shared/n1-data
#
#   make clean         remove all that these made
#
# PYTHON=python3.12 chooses the Python; make clean comes first where there is another already.

PYTHON ?= python3
RECORDINGS := ../shared/n1-data
EPHYS := ../shared/ephys
SOURCES := $(shell find filters -name '*.[ch]' -o -name '*.def' -o -name '*n1store_hdf5.p*')

CLANG ?= clang
FUZZ_TARGETS := decode samples signals simple_decode simple_samples
FUZZ_SECONDS ?= 60
FUZZ_SANITIZERS ?= address,undefined

.PHONY: help setup demo test test-long test-quick test-compat test-compat-all coverage lint bench bench-codec study train fuzz \
	$(FUZZ_TARGETS:%=fuzz-%) clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

setup: .venv/ready

.venv/ready: pyproject.toml CMakeLists.txt $(SOURCES)
	@$(call new_environment,.venv)
	@$(install_libraries)
	@$(call install_n1store,.venv,--editable)
	@touch $@

demo: setup
	@PATH="$(CURDIR)/.venv/bin:$$PATH" sh examples/demo.sh $(RECORDINGS)

# The hundreds of processes that tests start would each compile n1store anew where Python is told to
# write no bytecode.
export PYTHONDONTWRITEBYTECODE =

# Each process takes one half of the tests in their order, so that what a file shares is mostly made
# once, and then what the other has left.
PYTEST = bin/pytest --numprocesses auto --dist worksteal

test: .venv/ready-to-test
	.venv/$(PYTEST)

test-long: .venv/ready-to-test
	.venv/$(PYTEST) --long

test-quick: .venv/ready-to-test
	.venv/$(PYTEST) --quick

coverage: .venv/ready-to-test
	.venv/$(PYTEST) --cov --cov-report=term

.venv/ready-to-test: .venv/ready
	@$(install_programs_of_the_tests)
	@echo "setup: pytest and the other tools of the tests into .venv"
	@.venv/bin/pip install --quiet --group test --group lint
	@touch $@

# The environments that labs have: beside what n1store is installed there, and which tests run.
# .venv has the newest of everything, and so each of these has something older.
COMPAT = labs oldest zarr-3.0 zarr-3.1 pynwb-3

# With SpikeInterface come zarr 2.18 and numcodecs 0.15. What is left of a conversion that is stopped
# does not depend on them.
BESIDE_labs = 'spikeinterface>=0.105' 'neuroconv>=0.10'
TESTS_labs = $(TOUCHING_ZARR) tests/helpers/with_spikeinterface.py -k "not test_nothing_lost"
LONG_labs = $(TOUCHING_ZARR) tests/system/test_transparency.py

# Old libraries warn of what newer ones of others no longer like. Documents speak of zarr 3.
BESIDE_oldest = --constraint .venv-oldest/floors.txt
TESTS_oldest = tests --ignore tests/system/test_documentation.py -W ignore::DeprecationWarning

# Before 3.1.3, zarr finds codecs of numcodecs only with numcodecs before 0.16.4.
BESIDE_zarr-3.0 = 'zarr<3.1' 'numcodecs<0.16'
TESTS_zarr-3.0 = $(filter-out %/test_pages.py,$(TOUCHING_ZARR))

BESIDE_zarr-3.1 = 'zarr==3.1.0' 'numcodecs<0.16.4'
TESTS_zarr-3.1 = $(filter-out %/test_pages.py,$(TOUCHING_ZARR))

BESIDE_pynwb-3 = 'pynwb<4' 'numpy<2'
TESTS_pynwb-3 = tests/codecs tests/stores

TOUCHING_ZARR = $(shell grep -lE "import zarr|ZARR_|needs_zarr3" tests/*/test_*.py)

test-compat: test-compat-labs
	$(MAKE) test-compat-oldest QUICK=--quick

test-compat-all: $(COMPAT:%=test-compat-%)

$(COMPAT:%=test-compat-%): test-compat-%: .venv/ready-to-test .venv-%/ready
	.venv-$*/$(PYTEST) $(QUICK) $(TESTS_$*)
	$(if $(LONG_$*),.venv-$*/$(PYTEST) --long $(LONG_$*))

# An ordinary installation, so that what a wheel holds is tried too.
$(COMPAT:%=.venv-%/ready): .venv-%/ready: pyproject.toml CMakeLists.txt $(SOURCES) \
		$(shell find n1store -name '*.py')
	@$(call new_environment,.venv-$*)
	@$(install_libraries)
	@.venv-$*/bin/python tests/helpers/floors.py > .venv-$*/floors.txt
	@$(call install_n1store,.venv-$*,--group test $(BESIDE_$*))
	@.venv-$*/bin/pip check
	@touch $@

lint: .venv/ready-to-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(CC) -std=c11 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
		-DCODEC_NAME='"delta"' -DFILTER_ID=32768 $(filter-out $(LEFT_OUT),$(filter %.c,$(SOURCES)))

bench-codec: setup
	.venv/bin/python benchmarks/codec.py --recordings $(RECORDINGS) --ephys $(EPHYS) $(CODEC)

bench: bench-codec
	.venv/bin/python benchmarks/conversion.py $(RECORDINGS)
	.venv/bin/python benchmarks/memory.py
	.venv/bin/python benchmarks/nwb.py
	.venv/bin/python benchmarks/widths.py $(RECORDINGS)

# Chunks of 1 s, as stores have them; and whole recordings, as the compression challenge has them.
STUDIED = $(firstword $(wildcard $(RECORDINGS)) build/recordings)
study: setup
	@mkdir -p build
	@[ -d $(RECORDINGS) ] || .venv/bin/n1store synth build/recordings --recordings 84 --overwrite
	.venv/bin/n1store compare $(STUDIED) -o build/study --codecs all --repeats 9 $(STUDY)
	.venv/bin/n1store compare $(STUDIED) -o build/study-whole --chunk-seconds whole \
		--repeats 1 $(STUDY) --codecs \
		"$$(.venv/bin/python benchmarks/study.py build/study/results.csv --codecs)"
	.venv/bin/n1store report build/study -o build/study/report.html --overwrite
	@[ ! -d $(RECORDINGS) ] || { \
		cp build/study/results.csv benchmarks/results/study.csv && \
		tail -n +2 build/study-whole/results.csv >> benchmarks/results/study.csv && \
		cp build/study/report_files/ratio-and-speed.svg benchmarks/results && \
		.venv/bin/python benchmarks/study.py benchmarks/results/study.csv \
			--short README.md --full docs/codecs.md; }

train: setup
	.venv/bin/n1store train $(RECORDINGS) -o filters/core/n1/widths.h --overwrite

fuzz: $(FUZZ_TARGETS:%=fuzz-%)

# Inputs that reach new code gather in build/fuzz/corpus. One that fails is build/fuzz/<target>-…;
# it is to be kept in filters/fuzz/corpus, which the tests replay.
comma := ,
FUZZ_BUILD := build/fuzz/$(subst $(comma),-,$(FUZZ_SANITIZERS))

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: $(FUZZ_BUILD)/%
	@mkdir -p build/fuzz/corpus/$*
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=30 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix=build/fuzz/$*- \
		build/fuzz/corpus/$* filters/fuzz/corpus/$*

# Without trace-cmp, in which most of the time would go.
$(FUZZ_BUILD)/%: filters/fuzz/%.c $(SOURCES)
	@$(call install_clang)
	@mkdir -p $(FUZZ_BUILD)
	$(CLANG) -std=c11 -g -O2 -fsanitize=fuzzer,$(FUZZ_SANITIZERS) -fno-sanitize-recover=all \
		-fno-sanitize-coverage=trace-cmp -o $@ $< filters/fuzz/round_trip.c $(wildcard filters/core/*/*.c)

clean:
	rm -rf .venv .venv-* build demo

define new_environment
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "setup: Python 3.11 to 3.13 is needed; name one with: make PYTHON=python3.12"; exit 1; }; \
	command -v $(CC) >/dev/null || { echo "setup: a C compiler is needed"; exit 1; }; \
	[ -x $(1)/bin/pip ] || { \
		echo "setup: $$($(PYTHON) --version) for n1store, in $(1)"; \
		$(PYTHON) -m venv $(1); } && \
	$(1)/bin/pip install --quiet 'pip>=25.1'
endef

# wavpack-numcodecs, which is the codec, is built from source on most machines.
define install_libraries
	$(call system_package,libflac-dev,$(call has_header,FLAC/stream_encoder.h),the codec flac); \
	$(call system_package,libwavpack-dev,$(call has_header,wavpack/wavpack.h),the codec wavpack); \
	$(call system_package,wavpack,command -v wavpack,the codec wavpack); \
	$(call system_package,python3-dev,$(has_python_headers),the codec wavpack)
endef

define install_programs_of_the_tests
	$(call system_package,hdf5-tools,command -v h5dump,tests that read HDF5 files with h5dump); \
	$(call system_package,chromium,command -v chromium,tests that look at reports in a browser)
endef

# $(call system_package,NAME,COMMAND THAT SUCCEEDS WHERE IT IS,WHAT IT IS FOR)
define system_package
	is_there() { $(2); } >/dev/null 2>&1; \
	install() { apt-get install -qq -y --no-install-recommends $(1); } >/dev/null 2>&1; \
	if ! is_there && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "setup: system package $(1), for $(3)"; \
		export DEBIAN_FRONTEND=noninteractive; \
		install || { apt-get update -qq >/dev/null 2>&1; install; }; \
	fi; \
	is_there || echo "setup: left out: $(3); to have that: apt-get install $(1), then make clean setup"
endef

# $(call install_n1store,ENVIRONMENT,OPTIONS): n1store with all that it can use. What else there is
# to install goes with it, so that n1store is built once.
define install_n1store
	echo "setup: n1store and the packages it uses into $(1), which takes a minute or two"; \
	install() { $(1)/bin/pip install --quiet $(2) ".[codecs,remote,report$$1]"; }; \
	install ,wavpack 2>$(1)/wavpack.log || { \
		echo "setup: left out: the codec wavpack, as wavpack-numcodecs does not install: $(1)/wavpack.log"; \
		install; }
endef

has_python_headers = [ -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
has_header = $(CC) -E -include $(1) -x c /dev/null >/dev/null 2>&1

# HDF5 plugins that the build leaves out.
LEFT_OUT = $(shell $(call has_header,wavpack/wavpack.h) || echo filters/hdf5/wavpack.c) \
	$(shell $(call has_header,FLAC/stream_encoder.h) || echo filters/hdf5/flac.c)

define install_clang
	if ! command -v $(CLANG) >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -qq && apt-get install -qq -y clang; } >/dev/null 2>&1; \
	fi; \
	command -v $(CLANG) >/dev/null || { echo "fuzz: clang is needed: apt-get install clang"; exit 1; }
endef
