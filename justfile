# Shortcuts. Nothing needs `just`: each recipe is one plain command.

# The list of recipes.
default:
    @just --list

# One example, `full` unless another is named: HTTP, WebSocket, long-polling and metrics in one process.
run example="full":
    cargo run --example {{ example }}

# Every test, documentation included (`just test -p http-app`: of one package).
test *arguments:
    tests/run {{ arguments }}

# Random connections against the real servers, as many and from the seed one likes.
notices scripts="10600" seed="0":
    NOTICES_SCRIPTS={{ scripts }} NOTICES_SEED={{ seed }} cargo test -p workspace-tests --test notices -- --nocapture

# 100 000 messages each way over a network that spoils one request in five, in simulated time, from as many seeds.
lossless seeds="50":
    LOSSLESS_SEEDS={{ seeds }} cargo test -p longpoll-bridge --test lossless simulated -- --nocapture

# The sync core, registry and rooms under the model checkers: `just models shuttle 200000 7` tries more orders, and others.
models checker="all" schedules="20000" seed="1":
    MODELS_SCHEDULES={{ schedules }} MODELS_SEED={{ seed }} .ci/models {{ checker }}

# Bugs planted in a copy of the sources, each of which a model has to find.
planted *names:
    .ci/planted {{ names }}

# Random lives of a whole application over real sockets, as many and from the seed one likes.
lifecycle runs="10000" seed="1":
    LIFECYCLE_RUNS={{ runs }} LIFECYCLE_SEED={{ seed }} cargo test -p workspace-tests --test lifecycle

# Whole applications over a simulated network, from as many seeds and from the first one likes.
simulated seeds="2000" from="0":
    SIMULATED_SEEDS={{ seeds }} SIMULATED_FROM={{ from }} cargo test -p workspace-tests --test simulated

# What a waiting poll costs, the loop of an old page for so many seconds, a flood of new sessions, and guessed ids.
bridge polls="10000" seconds="60" flood="150000" guesses="100000":
    BRIDGE_POLLS={{ polls }} BRIDGE_SECONDS={{ seconds }} BRIDGE_FLOOD={{ flood }} BRIDGE_GUESSES={{ guesses }} \
        cargo test --release -p workspace-tests --test bridge -- --nocapture

# How long a message takes to its session over WebSocket, SSE and long-polling, in one run.
delivery *arguments:
    cargo run --release --package benches --bin delivery -- {{ arguments }}

# What must be green before a change is merged.
ci:
    .ci/run

# Formatting and lints, warnings denied.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# The reference, opened in a browser.
doc:
    cargo doc --workspace --no-deps --open

# What breaks for users since a revision: `just semver HEAD~100`; wants `cargo install cargo-semver-checks --locked`.
semver revision:
    cargo semver-checks --baseline-rev {{ revision }} --package core-executor --package http-app --package ws-server \
        --package longpoll-bridge --package attached-runtime

# Whose types the public API names, compared with the list in the script.
public-types:
    .ci/public-types

# Build every example.
examples:
    cargo build --package examples --examples

# The quick part of the Autobahn suite against bench_server, as CI runs it (`just autobahn full` runs all of it).
autobahn cases="quick":
    tests/autobahn/run {{ cases }}

# schemathesis and openapi-spec-validator against the examples' own /openapi.json (`just schemathesis 500` asks more).
schemathesis requests="30":
    tests/schemathesis/run {{ requests }}

# The example one_port behind nginx; `just nginx --silence` adds half a minute of nothing.
nginx *arguments:
    tests/nginx/run {{ arguments }}

# SIGTERM with so many sessions, 200 polls, 50 streams and 50 requests open, so many times.
drain sessions="5000" rounds="10":
    DRAIN_SESSIONS={{ sessions }} DRAIN_ROUNDS={{ rounds }} cargo test --release -p workspace-tests --test ending crowd -- --nocapture

# How evenly so many clients come back after SIGTERM. Wants a machine that does nothing else.
comeback clients="5000" seconds="5":
    COMEBACK_CLIENTS={{ clients }} COMEBACK_SECONDS={{ seconds }} cargo test --release -p workspace-tests --test neighbours comeback -- --nocapture

# How soon so many idle sessions are closed, unpaced.
endings sessions="10000":
    IDLE_SESSIONS={{ sessions }} cargo test --release -p workspace-tests --test neighbours endings -- --nocapture

# A rolling restart of two processes behind nginx under so many clients.
rolling clients="2000":
    ROLLING_CLIENTS={{ clients }} cargo test -p workspace-tests --test ending rolling -- --nocapture

# Clients of every kind for so long; fails when memory, descriptors, tasks or sessions grow.
soak seconds="3600":
    SOAK_SECONDS={{ seconds }} cargo test -p workspace-tests --test soak -- --nocapture

# Instructions per message of the hot paths, compared with benches/instructions.txt (`--update` writes it).
instructions *arguments:
    cargo build --release --package benches --bins
    target/release/instructions {{ arguments }}

# The servers of other libraries that `just compare` measures beside ours.
peers:
    cargo build --release --locked --manifest-path benches/peers/Cargo.toml

# Ours and the others, side by side: `just compare --cells echo-20-200,room-1000-64 --rounds 5`.
compare *arguments: peers
    cargo build --release --package benches --bins --package examples --example bench_server
    target/release/compare --ours target/release/examples/bench_server \
        --peers benches/peers/target/release/peers {{ arguments }}

# Fuzz one target (header, codec, handshake, deflate or envelope); wants nightly and `cargo install cargo-fuzz`.
fuzz target="codec" seconds="60":
    cargo +nightly fuzz run --fuzz-dir fuzz {{ target }} -- -max_total_time={{ seconds }} -max_len=2048
