# Everything a newcomer needs: `make run` opens the menu, `make test` runs the tests. scripts/libtorch finds or installs
# libtorch, unless you set LIBTORCH yourself.

CARGO ?= cargo
# one build profile for everything, because libtorch's binding takes minutes to compile
cargo = LIBTORCH="$$(scripts/libtorch)" && export LIBTORCH && $(CARGO)
target = $(or $(CARGO_TARGET_DIR),target)

.PHONY: run build install wheel wheel-test slurm-test exchange-test test gpu-fake lint golden bench faults faults-outside faults-inputs fuzz help

run: build ## open the menu; without a terminal, run the demo "shapes"
	@if [ -t 0 ] && [ -t 1 ]; then exec $(target)/release/astill; else exec $(target)/release/astill run shapes; fi

build: ## build target/release/astill and the engine beside it
	@test -e $(target)/release/astill || echo "building astill: a few minutes the first time, most of them for libtorch's C++ binding" >&2
	@$(cargo) build --release

install: ## install both programs into ~/.cargo/bin (or CARGO_INSTALL_ROOT/bin); the engine keeps using the libtorch found now
	@$(cargo) install --locked --path . && $(CARGO) install --locked --path src/engine

wheel: build ## build a Python wheel of both programs into dist
	@scripts/wheel dist

wheel-test: build ## build the wheel, install it into a fresh environment and use it
	@dest="$$(mktemp -d)" && scripts/test_wheel "$$(scripts/wheel "$$dest")" "$$(scripts/libtorch)"; status=$$?; rm -rf "$$dest"; exit $$status

slurm-test: build ## submit runs to a Slurm of its own with two nodes, kill one of them, and compare with a run without (root; Debian's apt-get)
	@scripts/slurm_test $(target)/release/astill

test: build ## run all tests
	@$(cargo) test --release

exchange-test: build ## let astill and PyTorch, torchvision, datasets, webdataset, medmnist, DD-Ranking read each other's files (installs 5 GB, or PYTHON)
	@scripts/exchange_test

# one test at a time: runs of one user leave each other's GPUs alone
gpu-fake: build ## test the GPU path without a GPU: libtorch's CUDA part on libraries that count (installs 4 GB into .cuda, or ASTILL_CUDA_SITE)
	@ASTILL_FAKE_GPU="$$(scripts/gpu-fake)" && export ASTILL_FAKE_GPU && $(cargo) test --release --test gpu -- --ignored --test-threads=1

lint: ## check formatting, and run clippy with warnings as errors
	@$(CARGO) fmt --check
	@$(cargo) clippy --release --all-targets -- -D warnings

golden: ## check every case in ASTILL_GOLDEN (default tests/golden) against the library, in float64 and float32
	@$(cargo) test --release --test golden every_golden_case -- --nocapture

bench: build ## compare time and memory with plain PyTorch (BENCH="--only NAME --smoke …", BENCH_PAIRS, PYTHON)
	@LIBTORCH="$$(scripts/libtorch)" benches/compare $(BENCH)

faults: build ## inject every fault of docs/reliability.md and print a table of outcomes (INPUTS=1000000 for each parser; 20 minutes on two processors)
	@$(cargo) test --release --no-run --test faults --test hostile --test hostile_engine
	@rm -f $(target)/faults-*.txt
	@$(MAKE) --no-print-directory --keep-going --jobs=2 faults-outside faults-inputs; status=$$?; \
	printf '\n%-58s | %8s | %-30s | %s\n' fault tried 'lost work' outcome; cat $(target)/faults-*.txt; exit $$status

faults-outside faults-inputs: export ASTILL_FAULTS = full
faults-outside faults-inputs: export ASTILL_FAULTS_TABLE = $(abspath $(target))/$@.txt

faults-outside:
	@$(cargo) test --release --no-fail-fast --test faults -- --nocapture --test-threads=1

# These only compute, and leave the processors to the engines that are killed. glibc would give memory back to the system
# after every input, and getting it again would take as long as the parser.
faults-inputs: export MALLOC_TRIM_THRESHOLD_ = 1073741824
faults-inputs: export MALLOC_TOP_PAD_ = 16777216
faults-inputs: export MALLOC_MMAP_THRESHOLD_ = 33554432
faults-inputs: export ASTILL_INPUTS = $(or $(INPUTS),1000000)
faults-inputs:
	@LIBTORCH="$$(scripts/libtorch)" nice $(CARGO) test --release --no-fail-fast --test hostile --test hostile_engine -- --nocapture >$(target)/faults-inputs.log 2>&1 || { cat $(target)/faults-inputs.log; exit 1; }

fuzz: ## run cargo-fuzz on every parser for FUZZ_SECONDS (60) each; needs a nightly Rust and cargo-fuzz
	@$(CARGO) +nightly fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs a nightly Rust and cargo-fuzz: rustup toolchain install nightly && cargo install cargo-fuzz" >&2; \
	echo "(make faults tests the same parsers without them)" >&2; exit 1; }
	@scripts/fuzz $(or $(FUZZ_SECONDS),60)

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile
