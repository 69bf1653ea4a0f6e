//! Crates that the library shares with the dependencies of a notebook: a `:dep` that selects more features of one of them makes cargo
//! compile the library again, which takes minutes and should not come as a surprise.

use crate::tool_cache::ToolCache;
use crate::toolchain::real_tool;
use std::path::PathBuf;

/// The lock file in the build directory, where cargo is run.
const LOCK_FILE: &str = "Cargo.lock";

/// The library and its dependencies with their features, one in each line. The lock file stays as it is, for cargo to choose versions later.
fn features() -> Option<Vec<String>> {
    let arguments = [
        "tree",
        "--offline",
        "-p",
        "metamers",
        "-e",
        "normal,build",
        "--prefix",
        "none",
        "--no-dedupe",
        "-f",
        "{p} {f}",
    ];
    let versions = std::fs::read(LOCK_FILE).ok();
    let output = real_tool("cargo").args(arguments).output().ok().filter(|output| output.status.success());
    if let Some(versions) = versions {
        let _ = std::fs::write(LOCK_FILE, versions);
    }
    let output = output?;
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines.dedup();
    Some(lines)
}

fn file(cache: &ToolCache) -> PathBuf {
    cache.file("shared-crates", &[])
}

/// Records the features with which the template is compiled.
pub fn record(cache: &ToolCache) {
    if let Some(features) = features() {
        cache.write(&file(cache), &features);
    }
}

/// Prints a line if the current dependencies make cargo compile the library again. It has the form of a line of cargo's progress, which is
/// shown in the cell that waits.
pub fn announce_changes(cache: &ToolCache) {
    if let Some(compiled) = cache.read::<Vec<String>>(&file(cache))
        && let Some(line) = features().and_then(|current| change(&compiled, &current))
    {
        eprintln!("{line}");
    }
}

fn change(compiled: &[String], current: &[String]) -> Option<String> {
    let mut changed: Vec<&str> =
        current.iter().filter(|line| !compiled.contains(line)).filter_map(|line| line.split(' ').next()).collect();
    changed.dedup();
    (!changed.is_empty()).then(|| {
        format!(
            "Compiling metamers again, because the new dependency selects other features of crates that both use: {}. This takes about \
             as long as the first start, four minutes on two cores, once in each kernel.",
            changed.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_features_of_the_librarys_crates_are_announced() {
        let lines = |list: &[&str]| list.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        let compiled = lines(&["metamers v0.1.0", "serde v1.0.0 derive,std", "syn v3.0.0 parsing"]);
        assert_eq!(change(&compiled, &compiled), None);
        assert_eq!(change(&compiled, &compiled[..2]), None);
        let current = lines(&["metamers v0.1.0", "serde v1.0.0 derive,std", "syn v3.0.0 full,parsing"]);
        let line = change(&compiled, &current).unwrap();
        assert!(line.starts_with("Compiling metamers again") && line.contains(": syn. "), "{line}");
    }
}
