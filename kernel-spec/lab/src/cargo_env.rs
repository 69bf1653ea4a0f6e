//! Environment variables of cargo that must not reach a cargo in a child process.

/// True for the variables that only `cargo run` and `cargo test` set, and never a user.
///
/// Build scripts watch some of them (ring's watches `CARGO_MANIFEST_DIR`), so a cargo that inherits them recompiles such crates
/// and all that depend on them.
#[must_use]
pub fn is_set_by_cargo_run(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
