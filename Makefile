# Everything that a newcomer needs: `make run` starts the demo, `make test` runs the tests. libtorch is found or installed by
# scripts/libtorch; LIBTORCH of your own wins.

CARGO ?= cargo
# one build profile for everything, because libtorch's binding takes minutes to compile
cargo = LIBTORCH="$$(scripts/libtorch)" && export LIBTORCH && $(CARGO)
target = $(or $(CARGO_TARGET_DIR),target)

.PHONY: run build install test lint golden bench faults fuzz help

run: build ## the menu of profiles; without a terminal, the demo: distil the built-in data set "shapes"
	@if [ -t 0 ] && [ -t 1 ]; then exec $(target)/release/astill; else exec $(target)/release/astill run shapes; fi

build: ## target/release/astill and the engine beside it
	@test -e $(target)/release/astill || echo "building astill: some minutes the first time, most of them for libtorch's C++ binding" >&2
	@$(cargo) build --release

install: ## both programs into ~/.cargo/bin, or the folder bin of CARGO_INSTALL_ROOT; the engine keeps using the libtorch found now
	@$(cargo) install --locked --path . && $(CARGO) install --locked --path src/engine

test: build ## all tests
	@$(cargo) test --release

lint: ## formatting and clippy, without warnings
	@$(CARGO) fmt --check
	@$(cargo) clippy --release --all-targets -- -D warnings

golden: ## every case of the folder ASTILL_GOLDEN (default tests/golden) through the library, in float64 and float32
	@$(cargo) test --release --test golden every_golden_case -- --nocapture

bench: build ## astill and plain PyTorch in turn: times, memory and their ratios (BENCH="--only NAME --smoke …", BENCH_PAIRS, PYTHON)
	@LIBTORCH="$$(scripts/libtorch)" benches/compare $(BENCH)

faults: build ## every fault of docs/reliability.md injected in full, and a table of what came of it (some minutes)
	@export ASTILL_FAULTS=full ASTILL_FAULTS_TABLE="$(abspath $(target))/faults.txt"; rm -f "$$ASTILL_FAULTS_TABLE"; \
	$(cargo) test --release --no-fail-fast --test faults --test hostile --test hostile_engine -- --nocapture --test-threads=1; \
	status=$$?; printf '\n%-58s | %8s | %-30s | %s\n' fault tried 'lost work' outcome; cat "$$ASTILL_FAULTS_TABLE"; exit $$status

fuzz: ## cargo-fuzz on every parser, FUZZ_SECONDS (60) each; with a nightly Rust and cargo-fuzz
	@$(CARGO) +nightly fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs a nightly Rust and cargo-fuzz: rustup toolchain install nightly && cargo install cargo-fuzz" >&2; \
	echo "(make faults tries the same parsers without them)" >&2; exit 1; }
	@scripts/fuzz $(or $(FUZZ_SECONDS),60)

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile
