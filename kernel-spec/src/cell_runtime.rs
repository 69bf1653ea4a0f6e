//! The crate with what every cell needs: the variable store, the error type and the display trait. It takes the place of what evcxr and the
//! prelude add to each cell, which rustc would otherwise compile anew in every cell, for half of its time.

use crate::display_hook::DISPLAY_MODULE;
use crate::toolchain;
use anyhow::Result;
use std::path::{Path, PathBuf};

const SOURCE: &str = include_str!("variable_store.rs");
const CRATE: &str = "metamers_cell_runtime";
/// Start and end of evcxr's module in the source of a cell.
const MODULE_START: &str = "mod evcxr_internal_runtime {\n";
const MODULE_END: &str = "\n}\n}\n";
/// The type by which the `?` of a cell reports errors, as evcxr adds it to each cell. rustc would compare its conversion with those of all
/// crates, to find overlaps.
const ERROR_TYPE: &str = r#"struct EvcxrUserCodeError {}
            impl<T: std::fmt::Display> From<T> for EvcxrUserCodeError {
                fn from(error: T) -> Self {
                    eprintln!("{}", error);
                    println!("{}", evcxr_internal_runtime::USER_ERROR_OCCURRED);
                    EvcxrUserCodeError {}
                }
            }
"#;
/// The statement by which that type reports an error, and the one that takes its place.
const ERROR_STATEMENT: &str = "println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);";
const REPORT_ERROR: &str = "evcxr_internal_runtime::report_error();";
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
    let error_type = error_type();
    let source = format!("{SOURCE}\npub {DISPLAY_MODULE}\nuse crate as evcxr_internal_runtime;\npub {error_type}");
    toolchain::compile_source(&source, &arguments, &library(control_dir))
}

/// [`ERROR_TYPE`] as the crate has it.
fn error_type() -> String {
    ERROR_TYPE.replace(ERROR_STATEMENT, REPORT_ERROR)
}

/// The source of a cell with the crate in place of evcxr's module and of the two types, line by line, so that positions in messages stay;
/// `None` if the module is not found. The cell then also reports a panic or an error by the crate, behind the kernel's
/// nonce.
#[must_use]
pub fn replace_module(source: &str) -> Option<String> {
    let start = source.find(MODULE_START)?;
    let end = start + source[start..].find(MODULE_END)? + MODULE_END.len();
    let rest = replace_last(&source[end..], PANIC_STATEMENT, REPORT_PANIC);
    let before = replace(&source[..start], DISPLAY_MODULE, &format!("use {CRATE}::evcxr_display_hook;"));
    // Also in the type of a cell that shows errors in another format.
    let before = replace_last(&before, ERROR_STATEMENT, REPORT_ERROR);
    let before = replace(&before, &error_type(), &format!("use {CRATE}::EvcxrUserCodeError;"));
    let module = replace(&source[start..end], &source[start..end], &format!("use {CRATE} as evcxr_internal_runtime;"));
    Some(format!("{before}{module}{rest}"))
}

/// Replaces a text, if it occurs, by one in a single line, and keeps the number of lines.
fn replace(source: &str, text: &str, line: &str) -> String {
    source.replacen(text, &format!("{line}{}", "\n".repeat(text.matches('\n').count())), 1)
}

/// Replaces the last statement with a text, if there is one: that is the generated one.
fn replace_last(source: &str, statement: &str, by: &str) -> String {
    match source.rsplit_once(statement) {
        Some((before, after)) => format!("{before}{by}{after}"),
        None => source.to_owned(),
    }
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
    fn what_cells_share_is_replaced_and_lines_stay() {
        let cell = |last: &str| format!("fn cell() {{\n{PANIC_STATEMENT}\n{last}\n}}\n}}\n");
        let source = format!(
            "use std::fmt;\n{DISPLAY_MODULE}{ERROR_TYPE}mod evcxr_internal_runtime {{\n// A\npub fn a() {{\n    b();\n}}\n}}\n{}",
            cell(PANIC_STATEMENT)
        );
        let replaced = replace_module(&source).unwrap();
        let used: Vec<&str> = replaced.lines().filter(|line| !line.is_empty()).take(4).collect();
        let expected = ["evcxr_display_hook;", "EvcxrUserCodeError;"].map(|name| format!("use {CRATE}::{name}"));
        let module = format!("use {CRATE} as evcxr_internal_runtime;");
        assert_eq!(used, ["use std::fmt;", &expected[0], &expected[1], &module]);
        assert!(replaced.ends_with(&cell(REPORT_PANIC)), "{replaced}");
        assert_eq!(replaced.lines().count(), source.lines().count());
        let replaced = replace_module(&source.replace("std::fmt::Display", "std::fmt::Debug")).unwrap();
        assert!(replaced.contains(REPORT_ERROR) && !replaced.contains(ERROR_STATEMENT), "{replaced}");
        assert_eq!(replace_module("fn cell() {}\n"), None);
    }

    #[test]
    fn the_error_type_is_that_of_evcxr() {
        let generator = include_str!("../vendor/evcxr/src/eval_context.rs");
        let generated = ERROR_TYPE
            .replace('{', "{{")
            .replace('}', "}}")
            .replace("std::fmt::Display", "{}")
            .replace("eprintln!(\"{{}}\"", "eprintln!(\"{}\"")
            .replace("println!(\"{{}}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);", "{}");
        assert!(generator.contains(&generated), "{generated}");
        assert!(generator.contains(&format!("{ERROR_STATEMENT:?}")));
        assert!(ERROR_TYPE.contains(ERROR_STATEMENT) && !error_type().contains(ERROR_STATEMENT));
    }
}
