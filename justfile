# Shortcuts. Nothing needs `just`: each recipe is one plain command.

# The list of recipes.
default:
    @just --list

# One example, `full` unless another is named: HTTP, WebSocket, long-polling and metrics in one process.
run example="full":
    cargo run --example {{ example }}

# Every test, documentation included.
test:
    cargo test --workspace

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

# Build every example.
examples:
    cargo build --package examples --examples
