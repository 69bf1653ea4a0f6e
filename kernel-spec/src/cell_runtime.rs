//! The crate with the cells' variable store, which takes the place of the module that evcxr adds to each cell: rustc would otherwise
//! compile it anew in every cell, for half of a cell's time.

use crate::toolchain;
use anyhow::Result;
use std::path::{Path, PathBuf};

const SOURCE: &str = include_str!("variable_store.rs");
const CRATE: &str = "metamers_cell_runtime";
/// Start and end of evcxr's module in the source of a cell.
const MODULE_START: &str = "mod evcxr_internal_runtime {\n";
const MODULE_END: &str = "\n}\n}\n";
/// The statement by which a cell reports a panic, and the one that takes its place.
const PANIC_STATEMENT: &str = "println!(\"EVCXR_PANIC_NOTIFICATION\");";
const REPORT_PANIC: &str = "evcxr_internal_runtime::report_panic();";

/// The compiled crate in the kernel's control directory.
#[must_use]
pub fn library(control_dir: &Path) -> PathBuf {
    control_dir.join(format!("lib{CRATE}.rlib"))
}

/// Compiles the crate.
pub fn build(control_dir: &Path) -> Result<()> {
    let arguments = ["--crate-name", CRATE, "--crate-type", "rlib", "-Copt-level=3"];
    toolchain::compile_source(SOURCE, &arguments, &library(control_dir))
}

/// The source of a cell with the crate in place of the module, line by line, so that positions in messages stay; `None` if the module
/// is not found. The cell then also reports a panic by the crate, behind the kernel's nonce.
#[must_use]
pub fn replace_module(source: &str) -> Option<String> {
    let start = source.find(MODULE_START)?;
    let end = start + source[start..].find(MODULE_END)? + MODULE_END.len();
    let lines = "\n".repeat(source[start..end].matches('\n').count());
    // The generated statement is the last one with this text.
    let rest = match source[end..].rsplit_once(PANIC_STATEMENT) {
        Some((before, after)) => format!("{before}{REPORT_PANIC}{after}"),
        None => source[end..].to_owned(),
    };
    Some(format!("{}use {CRATE} as evcxr_internal_runtime;{lines}{rest}", &source[..start]))
}

/// The arguments by which rustc finds the crate.
#[must_use]
pub fn rustc_arguments(control_dir: &Path) -> [String; 2] {
    ["--extern".into(), format!("{CRATE}={}", library(control_dir).display())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_replaced_and_lines_stay() {
        let cell = |last: &str| format!("fn cell() {{\n{PANIC_STATEMENT}\n{last}\n}}\n}}\n");
        let source = format!(
            "use std::fmt;\nmod evcxr_internal_runtime {{\n// A\npub fn a() {{\n    b();\n}}\n}}\n{}",
            cell(PANIC_STATEMENT)
        );
        let replaced = replace_module(&source).unwrap();
        assert_eq!(
            replaced,
            format!("use std::fmt;\nuse {CRATE} as evcxr_internal_runtime;\n\n\n\n\n\n{}", cell(REPORT_PANIC))
        );
        assert_eq!(replaced.lines().count(), source.lines().count());
        assert_eq!(replace_module("fn cell() {}\n"), None);
    }
}
