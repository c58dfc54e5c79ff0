# The front door; CMake presets do the work. `make help` lists the targets.
.DEFAULT_GOAL := build
.PHONY: help deps build model run test test-pg test-citus test-npu bench torture torture-pg fuzz format
.PHONY: tidy layers clean

DATA ?= data
# MODELS: the folder of models. MODEL=none: fetch none and serve with the built-in one.
MODELS ?= models
MODEL ?= all-MiniLM-L6-v2
SECONDS_EACH ?= 60

help:     ## this list
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' Makefile

deps:     ## install what building and testing needs (Debian 12, 13)
	@tools/deps.sh

build: build-deps ## build/release/memfuse
	@cmake --preset release >/dev/null
	@cmake --build build/release --target memfuse

model:    ## fetch the sentence encoder all-MiniLM-L6-v2 into ./models, once
	@tools/model.sh "$(MODELS)"

run: build ## build and serve from an embedded store in ./data
	@mkdir -p $(DATA)
	@tools/run.sh build/release/memfuse "$(DATA)" "$(MODELS)" "$(MODEL)"

test:     ## everything that CI checks
	@tools/test.sh

test-pg: dev ## all tests of the Postgres store, on 15 and 18
	@ctest --test-dir build/dev -R '(^|[.])pg1[58][.]' -LE torture-pg --no-tests=error --output-on-failure

test-citus: ## the same on a Citus cluster; CITUS_SRC: a folder with an up.sh
	@[ -n "$(CITUS_SRC)" ] || { echo "skipped: set CITUS_SRC"; exit 0; }; $(MAKE) dev && \
	  CITUS_SRC="$(CITUS_SRC)" ctest --test-dir build/dev -L citus --no-tests=error --output-on-failure

test-npu: dev ## all tests of the NPU; XRT225_ROOM: a Debian with XRT 2.25, for tier C
	@ctest --test-dir build/dev -R '(^|[.])npu' --no-tests=error --output-on-failure

bench: deps ## all benchmarks, from the release build
	@cmake --preset release -DMF_BENCH=ON >/dev/null
	@cmake --build build/release
	@bench/run.sh build/release

torture: dev ## kill, starve and flood it, for a long time
	@ctest --test-dir build/dev -L '^torture$$' --no-tests=error --output-on-failure

torture-pg: dev ## kill, cut off and starve its Postgres, for hours
	@ctest --test-dir build/dev -L '^torture-pg$$' --no-tests=error --output-on-failure

fuzz: deps ## each fuzzer for SECONDS_EACH seconds
	@cmake --preset fuzz >/dev/null
	@cmake --build build/fuzz
	@tools/fuzz.sh $(SECONDS_EACH)

format:   ## format the C files
	@tools/format.sh

tidy: deps ## lint the C files
	@cmake --preset clang >/dev/null
	@cmake --build build/clang
	@tools/tidy.sh build/clang

layers:   ## compare the includes with docs/layers.txt
	@python3 tools/check_layers.py

clean:    ## remove build/
	rm -rf build

.PHONY: build-deps dev
dev: deps
	@mkdir -p build
	@cmake --preset dev -DMF_PYTHON="$$(tools/pyenv.sh)" >/dev/null
	@cmake --build build/dev

build-deps:
	@tools/deps.sh build
