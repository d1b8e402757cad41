# make demo   installs what is missing (Debian packages, as root), builds, and replays a week of
#             flights in the terminal
# make test   everything that must pass before a change lands

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

.PHONY: demo test setup build

demo: setup build
	$(CARGO_TARGET_DIR)/debug/millrace demo $(ARGS)

build:
	cargo build --locked --workspace --bins

setup:
	@scripts/setup.sh build

test:
	@scripts/setup.sh test
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo build --locked --workspace --bins
	cargo test --locked --workspace
