//! Cache of tool outputs: a tool that was run with the same arguments before is not run again.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the cache directory in a build directory.
pub const TOOL_CACHE_DIR: &str = "tool-cache";
/// The number of times that a path may be escaped: an output that is JSON is a string in the JSON of a cache file.
const MAX_ESCAPES: usize = 3;

/// Output and exit status of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// Exit status.
    pub status: i32,
    /// Text written to stdout.
    pub stdout: String,
    /// Text written to stderr.
    pub stderr: String,
}

impl ToolOutput {
    /// Prints the output; returns the exit status.
    pub fn print(&self) -> i32 {
        // The reader may have gone away.
        let _ = std::io::stdout().write_all(self.stdout.as_bytes());
        let _ = std::io::stderr().write_all(self.stderr.as_bytes());
        self.status
    }
}

/// The cache of one build directory.
pub struct ToolCache {
    build_dir: PathBuf,
}

impl ToolCache {
    /// The cache in a build directory.
    #[must_use]
    pub fn new(build_dir: &Path) -> ToolCache {
        ToolCache { build_dir: build_dir.to_owned() }
    }

    /// The cache file for these inputs. The inputs' paths in the build directory are hashed as relative ones.
    #[must_use]
    pub fn file(&self, kind: &str, inputs: &[&str]) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        inputs.iter().for_each(|input| self.to_portable(input).hash(&mut hasher));
        self.build_dir.join(TOOL_CACHE_DIR).join(format!("{kind}-{:016x}", hasher.finish()))
    }

    /// Reads a cache file; `None` if it is missing or invalid.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self, file: &Path) -> Option<T> {
        let text = std::fs::read_to_string(file).ok()?;
        serde_json::from_str(&self.to_local(&text)).ok()
    }

    /// Writes a cache file. Errors are ignored: the tool is then run again next time.
    pub fn write<T: Serialize>(&self, file: &Path, value: &T) {
        let Ok(text) = serde_json::to_string(value) else { return };
        // Written aside and renamed, because two processes may write the same file.
        let part = file.with_extension(format!("{}.part", std::process::id()));
        let _ = std::fs::create_dir_all(self.build_dir.join(TOOL_CACHE_DIR));
        if std::fs::write(&part, self.to_portable(&text)).is_ok() {
            let _ = std::fs::rename(&part, file);
        }
    }

    /// Replaces the build directory's path, which differs from kernel to kernel, by placeholders.
    fn to_portable(&self, text: &str) -> String {
        let spellings = self.spellings().into_iter();
        spellings.fold(text.to_owned(), |text, (placeholder, path)| text.replace(&path, &placeholder))
    }

    fn to_local(&self, text: &str) -> String {
        let spellings = self.spellings().into_iter();
        spellings.fold(text.to_owned(), |text, (placeholder, path)| text.replace(&placeholder, &path))
    }

    /// The spellings of the build directory's path, each with its placeholder: with backslashes that are escaped more or less often, and with
    /// slashes, as in a URL. They differ on Windows only.
    fn spellings(&self) -> Vec<(String, String)> {
        let path = self.build_dir.to_string_lossy().into_owned();
        let slashes = path.replace('\\', "/");
        let escaped = |count: usize| path.replace('\\', &"\\".repeat(1 << count));
        // The longest first, because it contains no other.
        let paths = (0..=MAX_ESCAPES).rev().map(escaped).chain([slashes]);
        paths.enumerate().map(|(number, path)| (format!("{{build directory {number}}}"), path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_cached_in_one_directory_is_valid_in_another() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let (first, second) = (ToolCache::new(&one), ToolCache::new(&two));
        let arguments = |build_dir: &Path| format!("locate-project --manifest-path {}/Cargo.toml", build_dir.display());
        let file = first.file("cargo", &[&arguments(&one)]);
        assert_eq!(first.read::<ToolOutput>(&file), None);
        let stdout = format!("{{\"root\":\"{}/Cargo.toml\"}}\n", one.display());
        first.write(&file, &ToolOutput { status: 0, stdout, stderr: String::new() });

        std::fs::create_dir_all(two.join(TOOL_CACHE_DIR)).unwrap();
        let copy = second.file("cargo", &[&arguments(&two)]);
        std::fs::copy(&file, &copy).unwrap();
        let output: ToolOutput = second.read(&copy).unwrap();
        assert_eq!(output.stdout, format!("{{\"root\":\"{}/Cargo.toml\"}}\n", two.display()));
        assert_ne!(second.file("cargo", &[&arguments(&one)]), copy, "other arguments");
    }

    #[test]
    fn paths_of_windows_are_found_however_often_they_are_escaped() {
        let caches = [r"C:\one", r"D:\two\b"].map(|path| ToolCache::new(Path::new(path)));
        let metadata = |path: &str| {
            let package = serde_json::json!({ "path": path, "id": format!("file:///{}#a", path.replace('\\', "/")) });
            let output = ToolOutput { status: 0, stdout: package.to_string(), stderr: path.to_owned() };
            serde_json::to_string(&output).unwrap()
        };
        let portable = caches[0].to_portable(&metadata(r"C:\one\Cargo.toml"));
        assert!(!portable.contains("one"), "{portable}");
        assert_eq!(caches[1].to_local(&portable), metadata(r"D:\two\b\Cargo.toml"));
    }
}
