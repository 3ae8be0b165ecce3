# The developer's commands. CI runs `test`.

# Run the agent: no configuration, no backend needed.
run *args:
    cargo run --release -- {{args}}

# Everything: format, lints, unit, property and end-to-end tests against real peers. What CI runs.
test *args:
    ./scripts/test {{args}}

# Only the tests of one crate, while working on it.
check crate:
    cargo clippy -p {{crate}} --all-targets
    cargo nextest run -p {{crate}}

# Format everything.
fmt:
    cargo fmt --all

# Throughput and memory as ratios in one run; figures for benches/README.md.
bench *args:
    cargo build --release -p corten -p corten-benches
    ./target/release/corten-bench {{args}}

# The cost of reading and editing telemetry, held against prost.
bench-pdata:
    cargo bench -p corten-pdata

# Fuzz one target (logs, metrics, traces, edits, json) for a while; needs cargo-fuzz.
fuzz target seconds="60":
    cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} -- -max_total_time={{seconds}}

# Advisories, licences, duplicate versions; needs cargo-deny.
deny:
    cargo deny check

