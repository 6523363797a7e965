# What there is to type. `just` alone lists it.

[private]
default:
    @just --list --unsorted

# Run everything on a private PostgreSQL, until Ctrl-C
dev:
    cargo dev

# Play a customer's story and check every step of it
demo:
    cargo demo

# Run the tests, all of them or those of the given arguments
test *arguments='--workspace':
    cargo test {{ arguments }}

# Format, lint and test
check: fmt lint test

# Format the code
fmt:
    cargo fmt --all

# Lint everything, warnings as errors
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Build the documentation of every crate
doc:
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps

# Licences, advisories and banned crates (needs cargo-deny)
deny:
    cargo deny check

# Change the schema of DATABASE_URL: up, down, status, create <domain> <what>, …
migrate *arguments='status':
    cargo migrate {{ arguments }}

# Write schema.rs from the migrations
schema:
    UPDATE_SCHEMA=1 cargo test --package plinth-pg --test it schema

# Write the OpenAPI document from the routes
openapi:
    UPDATE_OPENAPI=1 cargo test --package plinth-rest --test it openapi

# Hold the running API against its contract (needs Python)
schemathesis:
    .ci/schemathesis

# Run the snippets of docs/usage.md (needs curl, Python and Node)
snippets:
    .ci/snippets

# Kill, freeze and cut off the processes of a private deployment under load, then check that nothing was lost, doubled or leaked
chaos *arguments='--seconds 300':
    cargo run --bin plinth-dev -- chaos {{ arguments }}

# Measure against ceilings of the same run, `--bench projects`, `--bench events` or `--bench history`: see docs/performance.md
bench *arguments='--bench projects':
    cargo bench {{ arguments }}

# Fuzz one parser for so many seconds (needs cargo-fuzz and a nightly toolchain): see fuzz/README.md
fuzz target seconds='60':
    mkdir -p fuzz/corpus/{{ target }}
    cargo +nightly fuzz run {{ target }} fuzz/corpus/{{ target }} fuzz/seeds/{{ target }} -- -max_total_time={{ seconds }}

# Everything that must hold before a change is taken
ci:
    .ci/run
