//! Detection of the machine, the compiler and the project's commit.

use std::path::Path;
use std::process::{Command, Stdio};

/// The first line of a program's output; `None` if the program is not found or fails.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned();
    output.status.success().then_some(text)
}

/// The output of `rustc --version`.
pub(super) fn rust() -> Option<String> {
    first_line("rustc", &["--version"]).filter(|version| !version.is_empty())
}

/// The commit of the folder from which the library was built, with "and changes" if files of the library differ from it.
pub(super) fn commit() -> Option<String> {
    let folder = env!("CARGO_MANIFEST_DIR");
    let git = |arguments: &[&str]| first_line("git", &[&["-C", folder], arguments].concat());
    // A copy of the sources inside another repository has no commit of its own.
    let root = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&root).canonicalize().ok()? != Path::new(folder).canonicalize().ok()? {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let built_from = ["src", "assets", "Cargo.toml", "Cargo.lock"];
    let changed = git(&[&["status", "--porcelain", "--"], &built_from[..]].concat())?;
    Some(if changed.is_empty() { commit } else { format!("{commit} and changes") })
}

/// The operating system and the architecture.
pub(super) fn system() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let name = std::fs::read_to_string("/etc/os-release").ok().and_then(|text| value(&text, "PRETTY_NAME", '='));
    let name = name.or_else(|| Some(format!("macOS {}", first_line("sw_vers", &["-productVersion"])?)));
    name.map_or_else(|| format!("{os} {arch}"), |name| format!("{name}, {os} {arch}"))
}

/// The name of the processor.
pub(super) fn processor() -> Option<String> {
    let listed = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| value(&text, "model name", ':'));
    let listed = listed.or_else(|| first_line("sysctl", &["-n", "machdep.cpu.brand_string"]));
    // Windows sets this variable.
    listed.or_else(|| std::env::var("PROCESSOR_IDENTIFIER").ok()).filter(|name| !name.is_empty())
}

/// The unquoted value of the first `key<separator>value` line with this key.
fn value(text: &str, key: &str, separator: char) -> Option<String> {
    let values = text.lines().filter_map(|line| line.split_once(separator));
    let mut values = values.filter(|(name, _)| name.trim() == key);
    values.next().map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let text = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: A Processor: 2 GHz\nmodel name\t: B\n";
        assert_eq!(value(text, "model name", ':').as_deref(), Some("A Processor: 2 GHz"));
        assert_eq!(value("ID=a\nPRETTY_NAME=\"An OS 12\"\n", "PRETTY_NAME", '=').as_deref(), Some("An OS 12"));
        assert_eq!(value(text, "flags", ':'), None);
    }

    #[test]
    fn a_program_that_is_missing_or_fails_gives_none() {
        assert_eq!(first_line("no-such-program-of-metamers", &[]), None);
        assert_eq!(first_line("rustc", &["--no-such-option"]), None);
    }
}
