//! Local crates: dependencies of the cells by path, such as a user's own crate, whose sources may change while a kernel runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The library's name in the cells' manifest. It is not one of them: a kernel keeps the library with which it has started.
const LIBRARY: &str = "metamers";

/// The time at which a local crate in the cells' manifest was last changed; `None` without local crates. What cargo has compiled in the
/// cells' build directory tells which files outside `src` the crates include.
#[must_use]
pub fn last_change(manifest: &str, build_dir: &Path) -> Option<SystemTime> {
    let is_library = |line: &&str| line.trim_start().split([' ', '=']).next() == Some(LIBRARY);
    let (library, others): (Vec<&str>, Vec<&str>) = manifest.lines().partition(is_library);
    let (mut seen, mut waiting) = (dirs(Path::new(""), &library.join("\n")), dirs(Path::new(""), &others.join("\n")));
    // Not the source of the cell itself.
    waiting.retain(|dir| dir.is_dir());
    let mut last = None;
    let mut names = BTreeSet::new();
    while let Some(dir) = waiting.pop() {
        if seen.contains(&dir) {
            continue;
        }
        if dir.is_file() {
            last = last.max(modified(&dir));
        } else if let Ok(manifest) = std::fs::read_to_string(dir.join("Cargo.toml")) {
            last = ["Cargo.toml", "build.rs", "src"].iter().map(|name| modified(&dir.join(name))).fold(last, Ord::max);
            names.extend(values(&manifest, "name").map(|name| name.replace('-', "_")));
            waiting.extend(dirs(&dir, &manifest));
            // A crate may inherit the paths of its dependencies.
            if manifest.contains("workspace") {
                waiting.extend(workspace_dirs(&dir));
            }
        }
        seen.push(dir);
    }
    included_files(build_dir, &names).iter().map(|file| modified(file)).fold(last, Ord::max)
}

/// The source files of the crates with these names, as cargo's `.d` files list them, without those that build scripts have generated.
fn included_files(build_dir: &Path, names: &BTreeSet<String>) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    if names.is_empty() {
        return files;
    }
    let target = build_dir.join("target");
    let generated = [build_dir.to_owned(), build_dir.canonicalize().unwrap_or_else(|_| build_dir.to_owned())];
    let is_source = |file: &PathBuf| file.is_absolute() && !generated.iter().any(|dir| file.starts_with(dir));
    let platforms = std::fs::read_dir(&target).into_iter().flatten().flatten().map(|entry| entry.path());
    for deps in platforms.chain([target.clone()]).map(|dir| dir.join("debug").join("deps")) {
        for path in std::fs::read_dir(deps).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            // cargo adds no hash to the name of a local dylib or cdylib.
            let name = stem.rsplit_once('-').map_or(&*stem, |(name, _)| name);
            if path.extension().is_some_and(|extension| extension == "d") && names.contains(name) {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                files.extend(listed_files(&text).filter(is_source));
            }
        }
    }
    files
}

/// The files that a `.d` file lists, each as a rule without prerequisites, with escaped spaces.
fn listed_files(rules: &str) -> impl Iterator<Item = PathBuf> {
    let rules = rules.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.strip_suffix(':'));
    rules.map(|path| path.replace("\\ ", " ").into())
}

/// The existing files and directories that the manifest of a crate's workspace names.
fn workspace_dirs(dir: &Path) -> Vec<PathBuf> {
    let manifest = |root: &Path| std::fs::read_to_string(root.join("Cargo.toml")).ok();
    let workspaces = dir.ancestors().filter_map(|root| Some((root, manifest(root)?)));
    let found = workspaces.into_iter().find(|(_, manifest)| manifest.contains("[workspace"));
    found.map(|(root, manifest)| dirs(root, &manifest)).unwrap_or_default()
}

/// True if a file was written after the last change of the local crates in the cells' manifest.
#[must_use]
pub fn is_current(file: &Path, manifest: &str, build_dir: &Path) -> bool {
    let written = || file.metadata().and_then(|metadata| metadata.modified());
    last_change(manifest, build_dir).is_none_or(|change| written().is_ok_and(|written| written > change))
}

/// The existing files and directories that the keys `path` of a manifest in a directory name.
fn dirs(base: &Path, manifest: &str) -> Vec<PathBuf> {
    values(manifest, "path").filter_map(|path| base.join(path).canonicalize().ok()).collect()
}

/// The strings that a manifest gives a key, in any section.
fn values(manifest: &str, key: &str) -> impl Iterator<Item = String> {
    let value = move |(at, key): (usize, &str)| {
        let value = manifest[at + key.len()..].trim_start().strip_prefix('=')?.trim_start();
        match value.strip_prefix('\'') {
            Some(literal) => literal.split_once('\'').map(|(path, _)| path.to_owned()),
            // A basic string of TOML has the escapes of JSON.
            None => serde_json::Deserializer::from_str(value).into_iter::<String>().next()?.ok(),
        }
    };
    manifest.match_indices(key).filter_map(value)
}

/// The time at which a file, or one of the files in a directory, was last modified.
fn modified(path: &Path) -> Option<SystemTime> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_dir() {
        return metadata.modified().ok();
    }
    let entries = std::fs::read_dir(path).ok()?.flatten();
    // A link to a directory may lead back.
    let is_link = |kind: std::fs::FileType, path: &Path| kind.is_symlink() && path.is_dir();
    let kept = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !is_link(kind, &entry.path())));
    kept.filter_map(|entry| modified(&entry.path())).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::Duration;

    #[test]
    fn the_last_change_is_that_of_local_crates_and_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let write = |name: &str, text: &str, seconds| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time(seconds)).unwrap();
        };
        write(
            "mine/Cargo.toml",
            "[lib]\npath = \"src/lib.rs\"\n[dependencies]\nother = { path='../other' }\na = { path = \"../ws/a\" }",
            10,
        );
        write("mine/src/lib.rs", "", 20);
        let others = "[dependencies]\nmine = { path = \"../mine\" }\n[dependencies.metamers]\npath = \"../home\"";
        write("other/Cargo.toml", others, 10);
        write("other/src/deep/a.rs", "", 25);
        write("ws/Cargo.toml", "[workspace]\nmembers = []\n[workspace.dependencies]\nb = { path = \"b\" }", 10);
        write("ws/a/Cargo.toml", "[dependencies]\nb = { workspace = true }", 10);
        write("ws/b/Cargo.toml", "[lib]\npath = \"lib/b.rs\"", 10);
        write("ws/b/lib/b.rs", "", 30);
        write("home/Cargo.toml", "", 90);
        let path = |name: &str| serde_json::Value::from(dir.path().join(name).to_string_lossy().as_ref());
        write("cell.rs", "", 99);
        let library = format!(
            "[lib]\npath = {}\n[dependencies]\n    metamers = {{ path = {} }}\n",
            path("cell.rs"),
            path("home")
        );
        let build_dir = dir.path().join("build");
        let last_change = |manifest: &str| last_change(manifest, &build_dir);
        let is_current = |file: &Path, manifest: &str| is_current(file, manifest, &build_dir);
        assert_eq!(last_change(&library), None);
        let manifest = format!("{library}mine = {{ features = [], path = {} }}\nserde = \"1\"\n", path("mine"));
        assert_eq!(last_change(&manifest), Some(time(30)));
        write("mine/src/lib.rs", "// changed", 40);
        assert_eq!(last_change(&manifest), Some(time(40)));
        for (seconds, current) in [(39, false), (41, true)] {
            write("record", "", seconds);
            assert_eq!(is_current(&dir.path().join("record"), &manifest), current);
        }
        assert!(is_current(&dir.path().join("missing"), &library));
        assert!(!is_current(&dir.path().join("missing"), &manifest));
    }

    #[test]
    fn files_that_a_local_crate_includes_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let write = |name: &str, text: &str, seconds| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time(seconds)).unwrap();
        };
        write("mine/Cargo.toml", "[package]\nname = \"of-mine\"", 10);
        write("mine/src/lib.rs", "", 20);
        write("mine/two words.txt", "", 30);
        write("other/data.txt", "", 90);
        write("build/target/debug/build/of-mine-1/out/generated.rs", "", 90);
        let rules = |files: &[&str]| {
            let escaped = |file: &&str| dir.path().join(file).display().to_string().replace(' ', "\\ ");
            let files: Vec<String> = files.iter().map(escaped).collect();
            let list: String = files.iter().map(|file| format!("{file}:\n")).collect();
            format!("libof_mine.rlib: {}\n\n{list}\n# env-dep:KEY=a:\n", files.join(" "))
        };
        let included =
            ["mine/src/lib.rs", "mine/src/../two words.txt", "build/target/debug/build/of-mine-1/out/generated.rs"];
        write("build/target/triple/debug/deps/of_mine-0123.d", &rules(&included), 90);
        write("build/target/triple/debug/deps/other-0123.d", &rules(&["other/data.txt"]), 90);
        let manifest = format!(
            "mine = {{ path = {} }}\n",
            serde_json::Value::from(dir.path().join("mine").to_string_lossy().as_ref())
        );
        let build_dir = dir.path().join("build");
        assert_eq!(last_change(&manifest, &build_dir), Some(time(30)));
        // A procedural macro is compiled for the machine itself.
        write("build/target/debug/deps/of_mine-4567.d", &rules(&["other/data.txt"]), 90);
        assert_eq!(last_change(&manifest, &build_dir), Some(time(90)));
        // A dynamic library has no hash.
        write("other/table.txt", "", 95);
        write("build/target/triple/debug/deps/of_mine.d", &rules(&["other/table.txt"]), 90);
        assert_eq!(last_change(&manifest, &build_dir), Some(time(95)));
    }
}
