//! The folder in which a kernel builds its cells: private to each kernel, and made of a template in which everything that the
//! prelude needs has been compiled.

use crate::tool_cache;
use anyhow::{Context, Result};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Speed in a notebook is the speed of a release build: the same settings for the library, its dependencies and the cells.
const CARGO_CONFIG: &str = "\
# Written by metamers-kernel: notebooks are compiled as a release build is.
[profile.dev]
opt-level = 3
debug = false
debug-assertions = false
overflow-checks = false
incremental = false
# A cell is small: one part of it is compiled sooner than sixteen are put together again.
codegen-units = 1

[profile.dev.package.\"*\"]
codegen-units = 16
";
/// What cargo makes of a package is in folders and files that have the package's name, below these.
const BY_PACKAGE: [&str; 3] = ["deps", ".fingerprint", "build"];
/// What is compiled again and again, the cells and the library, may be written in place.
const CHANGING: [&str; 4] = ["ctx", "code_", "metamers", "flush"];
const STAMP: &str = "stamp";

/// The folders of notebook builds of one project.
pub struct Builds {
    home: PathBuf,
    root: PathBuf,
}

impl Builds {
    /// The builds of the project at `home`.
    pub fn of(home: &Path) -> Builds {
        Builds { home: home.to_owned(), root: home.join("target").join("notebook") }
    }

    /// The project.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder of all builds.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The project's lock file, which a notebook follows so that its versions are those of the library.
    pub fn lock_file(&self) -> PathBuf {
        self.home.join("Cargo.lock")
    }

    fn template(&self) -> PathBuf {
        self.root.join("template")
    }

    /// Makes the folder of all builds, with the settings that they share, and removes what dead kernels left behind.
    pub fn tidy(&self) -> Result<()> {
        let config = self.root.join(".cargo");
        fs::create_dir_all(&config).with_context(|| format!("cannot create {}", config.display()))?;
        let file = config.join("config.toml");
        if fs::read_to_string(&file).ok().as_deref() != Some(CARGO_CONFIG) {
            fs::write(&file, CARGO_CONFIG).with_context(|| format!("cannot write {}", file.display()))?;
        }
        for entry in fs::read_dir(&self.root)?.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix("kernel-")).and_then(|pid| pid.parse().ok());
            if owner.is_some_and(|pid: u32| !crate::process::is_alive(pid)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }

    /// Whether the template was made of the sources as they are now.
    pub fn is_warm(&self) -> bool {
        let stamp = fs::read_to_string(self.template().join(STAMP));
        stamp.is_ok_and(|stamp| self.stamp().is_ok_and(|now| now == stamp))
    }

    /// The build folder of this process.
    pub fn private_path(&self) -> PathBuf {
        self.root.join(format!("kernel-{}", std::process::id()))
    }

    /// The folder in which the next template is made.
    pub fn next_path(&self) -> PathBuf {
        self.root.join("template.next")
    }

    /// Makes the build folder of this process, from the template if there is one.
    pub fn private(&self) -> Result<PathBuf> {
        let path = self.private_path();
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        let lock = self.lock()?;
        lock.lock_shared()?;
        if self.template().exists() {
            link_tree(&self.template(), &path)?;
        } else {
            fs::create_dir_all(&path)?;
        }
        Ok(path)
    }

    /// Makes the template anew, reusing what is still good of the old one: `build` compiles in the folder that it is given.
    pub fn warm(&self, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let guard = self.root.join("warm.lock");
        let guard = File::create(&guard).with_context(|| format!("cannot write {}", guard.display()))?;
        guard.lock()?;
        // Somebody else may have done it while we waited.
        if self.is_warm() {
            return Ok(());
        }
        let stamp = self.stamp()?;
        let next = self.next_path();
        // What an interrupted run compiled is kept for the next one.
        if !next.exists() && self.template().exists() {
            link_tree(&self.template(), &next)?;
        }
        fs::create_dir_all(&next)?;
        let _ = fs::remove_file(next.join(STAMP));
        // What the tools said of the old sources.
        let _ = fs::remove_dir_all(next.join(tool_cache::FOLDER));
        build(&next)?;
        fs::write(next.join(STAMP), stamp)?;

        let lock = self.lock()?;
        lock.lock()?;
        let old = self.root.join("template.old");
        if self.template().exists() {
            let _ = fs::remove_dir_all(&old);
            fs::rename(self.template(), &old)?;
        }
        fs::rename(&next, self.template())?;
        drop(lock);
        let _ = fs::remove_dir_all(&old);
        Ok(())
    }

    /// Held shared while a kernel copies the template, and alone while it is replaced.
    fn lock(&self) -> Result<File> {
        let path = self.root.join("template.lock");
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What the template depends on: the library's sources by name, size and time, the lock file, the compiler, this kernel.
    fn stamp(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        (CARGO_CONFIG, crate::kernel_dir::FLUSH_SOURCE, crate::kernel_dir::prelude(&self.home)).hash(&mut hasher);
        let mut text = Vec::new();
        for file in ["Cargo.toml", "Cargo.lock"] {
            let path = self.home.join(file);
            File::open(&path)
                .and_then(|mut file| file.read_to_end(&mut text))
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        text.hash(&mut hasher);
        hash_tree(&self.home.join("src"), &mut hasher)?;
        // A kernel that was built anew may ask for other things.
        let itself = std::env::current_exe().and_then(fs::metadata).and_then(|file| Ok((file.len(), file.modified()?)));
        itself.ok().hash(&mut hasher);
        let rustc = crate::tool_shims::real("rustc").arg("-vV").output().context("cannot run rustc")?;
        rustc.stdout.hash(&mut hasher);
        Ok(format!("{:016x}", hasher.finish()))
    }
}

fn hash_tree(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        entry.file_name().hash(hasher);
        if metadata.is_dir() {
            hash_tree(&entry.path(), hasher)?;
        } else {
            (metadata.len(), metadata.modified()?).hash(hasher);
        }
    }
    Ok(())
}

/// Copies a folder: what cargo writes once and for all as a second name of the same file, everything else as a file of its own.
fn link_tree(from: &Path, to: &Path) -> Result<()> {
    copy_tree(from, to, false)
}

/// `steady` says that what is in this folder belongs to packages that are not compiled again.
fn copy_tree(from: &Path, to: &Path, steady: bool) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let name = name.to_string_lossy();
        let changes = CHANGING.iter().any(|part| name.contains(part));
        if kind.is_dir() {
            copy_tree(&source, &target, (steady || BY_PACKAGE.contains(&name.as_ref())) && !changes)?;
            continue;
        }
        if kind.is_symlink() {
            // It leads to a process that has ended; each kernel makes its own.
            continue;
        }
        if steady && !changes && fs::hard_link(&source, &target).is_ok() {
            continue;
        }
        fs::copy(&source, &target).with_context(|| format!("cannot write {}", target.display()))?;
        // Cargo compares times to know what is fresh.
        let modified = entry.metadata()?.modified()?;
        File::options().write(true).open(&target)?.set_modified(modified)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("metamers-kernel-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("src")).unwrap();
        for (file, text) in [("Cargo.toml", "[package]"), ("Cargo.lock", "version = 4"), ("src/lib.rs", "")] {
            fs::write(path.join(file), text).unwrap();
        }
        path
    }

    #[test]
    fn a_template_is_warm_until_a_source_changes_and_is_copied_whole() {
        let home = scratch("template");
        let builds = Builds::of(&home);
        builds.tidy().unwrap();
        assert!(!builds.is_warm());
        builds
            .warm(|path| {
                fs::create_dir_all(path.join("target/deps"))?;
                fs::write(path.join("target/deps/libcandle.rlib"), vec![1; 20_000])?;
                Ok(fs::write(path.join("target/deps/libmetamers.so"), vec![2; 20_000])?)
            })
            .unwrap();
        assert!(builds.is_warm());

        let private = builds.private().unwrap();
        fs::write(private.join("target/deps/libmetamers.so"), "new").unwrap();
        let kept = fs::read(home.join("target/notebook/template/target/deps/libmetamers.so")).unwrap();
        assert_eq!(kept, vec![2; 20_000], "a kernel must not write into the template");
        let time = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        let file = "target/deps/libcandle.rlib";
        assert_eq!(time(private.join(file)), time(home.join("target/notebook/template").join(file)));

        fs::write(home.join("src/lib.rs"), "// changed").unwrap();
        assert!(!builds.is_warm());
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn folders_of_dead_kernels_go_and_those_of_living_ones_stay() {
        let home = scratch("stale");
        let builds = Builds::of(&home);
        let alive = home.join(format!("target/notebook/kernel-{}", std::process::id()));
        let dead = home.join("target/notebook/kernel-2147483000");
        fs::create_dir_all(&alive).unwrap();
        fs::create_dir_all(&dead).unwrap();
        builds.tidy().unwrap();
        assert!(alive.exists() && !dead.exists());
        fs::remove_dir_all(home).unwrap();
    }
}
