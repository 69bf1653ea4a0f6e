//! Cache of compiled dependencies: a template in which everything that the prelude needs has been compiled, and copies of it, one for each
//! kernel.

use crate::prelude::{FLUSH_LIBRARY_SOURCE, prelude_source};
use crate::sync::lock;
use crate::tool_cache::TOOL_CACHE_DIR;
use crate::toolchain::{CONTROL_DIR, SHIM_HOME};
use crate::{platform, toolchain};
use anyhow::{Context, Result};
use metamers_lab::Project;
use metamers_lab::file_lock::{is_held, or_unlocked};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};

/// Cargo settings for the library, its dependencies and the cells, so that notebooks run at the speed of a release build.
const CARGO_CONFIG: &str = "\
# Written by metamers-kernel: compiles notebooks as a release build.
[profile.dev]
opt-level = 3
debug = false
debug-assertions = false
# In the cells, arithmetic that overflows panics, as in a debug build.
overflow-checks = true
incremental = false
# Cells are small: one unit compiles faster than sixteen are merged.
codegen-units = 1

[profile.dev.package.\"*\"]
overflow-checks = false
codegen-units = 16
";
/// Cargo's directories with one entry for each package, named after it.
const PER_PACKAGE_DIRS: [&str; 3] = ["deps", ".fingerprint", "build"];
/// Parts of the names of entries that are compiled again and may be written in place: the cells and the library.
const MUTABLE_ENTRIES: [&str; 4] = ["ctx", "code_", "metamers", "flush"];
const FINGERPRINT_FILE: &str = "fingerprint";
/// Prefix of the names of kernel directories.
const KERNEL_DIR_PREFIX: &str = "kernel-";
/// Length of the random part of their names, in hexadecimal digits.
const RANDOM_LEN: usize = 8;
/// Time between two touches of a living kernel's lock file.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);
/// Age of a lock file from which its kernel has ended, where its lock does not tell.
const MAX_LOCK_AGE: Duration = Duration::from_secs(600);

/// The notebook builds of one project.
pub struct BuildCache {
    home: PathBuf,
    root: PathBuf,
}

impl BuildCache {
    /// The builds of the project at `home`.
    #[must_use]
    pub fn new(home: &Path) -> BuildCache {
        let root = Project { root: home.to_owned() }.notebook_build_dir();
        BuildCache { home: home.to_owned(), root }
    }

    /// The project's root.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory of all builds.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The project's lock file; notebooks use it so that their versions are those of the library.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.home.join("Cargo.lock")
    }

    fn template(&self) -> PathBuf {
        self.root.join("template")
    }

    /// Creates the directory of all builds with its cargo settings, and removes the directories of dead kernels.
    pub fn prepare(&self) -> Result<()> {
        let config = self.root.join(".cargo");
        fs::create_dir_all(&config).with_context(|| format!("cannot create {}", config.display()))?;
        let file = config.join("config.toml");
        if fs::read_to_string(&file).ok().as_deref() != Some(CARGO_CONFIG) {
            fs::write(&file, CARGO_CONFIG).with_context(|| format!("cannot write {}", file.display()))?;
        }
        for entry in fs::read_dir(&self.root)?.flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir && entry.file_name().to_str().is_some_and(|name| name.starts_with(KERNEL_DIR_PREFIX)) {
                remove_if_abandoned(&entry.path());
            }
        }
        Ok(())
    }

    /// True if the template was built from the current sources.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        let built = fs::read_to_string(self.template().join(FINGERPRINT_FILE));
        built.is_ok_and(|built| self.fingerprint().is_ok_and(|current| current == built))
    }

    /// The path of this process's kernel directory. Two kernels in different PID namespaces, such as containers that share a home, may have
    /// the same process id, so the name has a random part.
    #[must_use]
    pub fn kernel_dir(&self) -> PathBuf {
        static NAME: OnceLock<String> = OnceLock::new();
        let name = NAME.get_or_init(|| {
            let random = uuid::Uuid::new_v4().simple().to_string();
            format!("{KERNEL_DIR_PREFIX}{}-{}", std::process::id(), &random[..RANDOM_LEN])
        });
        self.root.join(name)
    }

    /// The directory in which the next template is built.
    #[must_use]
    pub fn next_template(&self) -> PathBuf {
        self.root.join("template.next")
    }

    /// Creates this process's kernel directory, as a copy of the template if there is one. Other users cannot open it: it holds the code of
    /// the cells.
    pub fn create_kernel_dir(&self) -> Result<PathBuf> {
        let path = self.kernel_dir();
        hold_lock(&path)?;
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        platform::create_private_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let lock = self.template_lock()?;
        or_unlocked(lock.lock_shared())?;
        if self.template().exists() {
            copy_tree(&self.template(), &path, CopyMode::Copy)?;
            // The template of an older kernel or library, if building the next one has failed.
            if !self.is_warm() {
                remove_unchecked(&path);
            }
        }
        Ok(path)
    }

    /// Rebuilds the template, starting from the old one; `build` compiles in the directory that it is given.
    pub fn build_template(&self, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let lock_file = self.root.join("warm.lock");
        let build_lock = open_lock(&lock_file)?;
        // Not `lock` after a successful `try_lock`: on Windows it would wait for itself.
        if is_held(build_lock.try_lock())? {
            eprintln!("Compiling metamers in another process, which this one waits for");
            or_unlocked(build_lock.lock())?;
        }
        // Another process may have built it in the meantime.
        if self.is_warm() {
            return Ok(());
        }
        let fingerprint = self.fingerprint()?;
        let next = self.next_template();
        // An unfinished build is continued.
        if !next.exists() && self.template().exists() {
            copy_tree(&self.template(), &next, CopyMode::Copy)?;
        }
        fs::create_dir_all(&next)?;
        let _ = fs::remove_file(next.join(FINGERPRINT_FILE));
        remove_unchecked(&next);
        build(&next)?;
        fs::write(next.join(FINGERPRINT_FILE), fingerprint)?;

        let lock = self.template_lock()?;
        or_unlocked(lock.lock())?;
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

    /// The file lock of the template: shared while a kernel copies it, exclusive while it is replaced.
    fn template_lock(&self) -> Result<File> {
        open_lock(&self.root.join("template.lock"))
    }

    /// A hash of everything the template depends on: the library's sources by name, size and time, the manifest and lock file, the compiler
    /// and this kernel.
    fn fingerprint(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        (CARGO_CONFIG, FLUSH_LIBRARY_SOURCE, prelude_source(&self.home)).hash(&mut hasher);
        let mut text = Vec::new();
        for file in ["Cargo.toml", "Cargo.lock"] {
            let path = self.home.join(file);
            File::open(&path)
                .and_then(|mut file| file.read_to_end(&mut text))
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        text.hash(&mut hasher);
        hash_tree(&self.home.join("src"), &mut hasher)?;
        let program =
            std::env::current_exe().and_then(fs::metadata).and_then(|file| Ok((file.len(), file.modified()?)));
        program.ok().hash(&mut hasher);
        let rustc = toolchain::real_tool("rustc").arg("-vV").output().context("cannot run rustc")?;
        rustc.stdout.hash(&mut hasher);
        Ok(format!("{:016x}", hasher.finish()))
    }
}

/// Removes what cargo does not compare with its sources: the cached answers of the tools and the libraries that the cells share.
fn remove_unchecked(build_dir: &Path) {
    for dir in [TOOL_CACHE_DIR, CONTROL_DIR] {
        let _ = fs::remove_dir_all(build_dir.join(dir));
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

/// Opens a lock file, which is created if necessary and not truncated, because another process may have locked it.
fn open_lock(path: &Path) -> Result<File> {
    // NFS grants a shared lock to those alone who may read.
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

/// The lock file of a kernel directory, beside it.
fn lock_path(kernel_dir: &Path) -> PathBuf {
    kernel_dir.with_extension("lock")
}

/// Locks this process's kernel directory for as long as the process lives. The lock file names the machine and is touched again and again,
/// for kernels on other machines, where a file system may have locks of their own.
fn hold_lock(kernel_dir: &Path) -> Result<()> {
    static HELD: Mutex<Option<File>> = Mutex::new(None);
    let mut held = lock(&HELD);
    if held.is_none() {
        let path = lock_path(kernel_dir);
        let mut file = open_lock(&path)?;
        // Before the lock, under which Windows lets no one write.
        let written = file.write_all(platform::host_name().as_bytes());
        written.with_context(|| format!("cannot write {}", path.display()))?;
        or_unlocked(file.lock_shared()).with_context(|| format!("cannot lock {}", path.display()))?;
        *held = Some(file);
        let _ = std::thread::Builder::new().spawn(|| {
            loop {
                std::thread::sleep(TOUCH_INTERVAL);
                let _ = lock(&HELD).as_ref().map(|file| file.set_modified(SystemTime::now()));
            }
        });
    }
    Ok(())
}

/// Removes the directory of this process's kernel, which ends.
pub fn remove_kernel_dir(kernel_dir: &Path) {
    // Repeated, because a killed process may still write its last file; the pauses also give the reply time to leave.
    for _ in 0..20 {
        let is_removed = match fs::remove_dir_all(kernel_dir) {
            Ok(()) => false,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        std::thread::sleep(Duration::from_millis(25));
        if is_removed {
            break;
        }
    }
    // A directory that is left keeps its lock file, by which the next kernel finds it abandoned.
    if !kernel_dir.exists() {
        let _ = fs::remove_file(lock_path(kernel_dir));
    }
}

/// True if no process holds the lock of a kernel directory. A lock of another machine may not be seen here, and some file systems have none:
/// its file must then be old, too.
fn is_unlocked(mut file: &File) -> bool {
    let mut host = String::new();
    let is_read = file.read_to_string(&mut host).is_ok();
    let is_old = || {
        let age = file.metadata().and_then(|metadata| metadata.modified()).map(|modified| modified.elapsed());
        // A time in the future is that of another machine's clock.
        age.is_ok_and(|age| age.is_ok_and(|age| age > MAX_LOCK_AGE))
    };
    // Earlier versions named no machine.
    let is_local = is_read && (host.is_empty() || host == platform::host_name());
    match file.try_lock() {
        Ok(()) => is_local || is_old(),
        locked => is_held(locked).is_ok_and(|is_held| !is_held) && is_old(),
    }
}

/// Removes the directory of a kernel that has ended: one that no process has locked. Process ids do not tell, because the kernel may run in
/// another container.
fn remove_if_abandoned(kernel_dir: &Path) {
    let path = lock_path(kernel_dir);
    let lock_file = File::options().read(true).write(true).open(&path);
    let is_abandoned = match &lock_file {
        Ok(file) => is_unlocked(file),
        // Version 0.1 had no lock files, and a kernel may have lost its own while it ended. Another user's file cannot be opened.
        Err(error) => {
            error.kind() == ErrorKind::NotFound && process_of(kernel_dir).is_some_and(|pid| !platform::is_alive(pid))
        }
    };
    if is_abandoned && fs::remove_dir_all(kernel_dir).is_ok() {
        let _ = fs::remove_file(path);
    }
}

/// The process id in the name of a kernel directory. The names of version 0.1 have no random part.
fn process_of(kernel_dir: &Path) -> Option<u32> {
    let name = kernel_dir.file_name()?.to_str()?.strip_prefix(KERNEL_DIR_PREFIX)?;
    match name.split_once('-') {
        Some((pid, random)) if random.len() == RANDOM_LEN && random.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            pid.parse().ok()
        }
        Some(_) => None,
        None => name.parse().ok(),
    }
}

/// Treatment of the files in a directory that is copied.
#[derive(Debug, Clone, Copy, PartialEq)]
enum CopyMode {
    /// Files may be written in place later and are copied.
    Copy,
    /// Files belong to packages that are not compiled again and are hard-linked.
    HardLink,
}

/// Copies a directory tree; files that cargo never writes again become hard links.
fn copy_tree(from: &Path, to: &Path, mode: CopyMode) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let name = name.to_string_lossy();
        if name == SHIM_HOME {
            // The shims run the program of a process that has ended; each kernel creates its own.
            continue;
        }
        let is_mutable = MUTABLE_ENTRIES.iter().any(|part| name.contains(part));
        if kind.is_dir() {
            let is_per_package = mode == CopyMode::HardLink || PER_PACKAGE_DIRS.contains(&name.as_ref());
            let mode = if is_per_package && !is_mutable { CopyMode::HardLink } else { CopyMode::Copy };
            copy_tree(&source, &target, mode)?;
            continue;
        }
        if mode == CopyMode::HardLink && !is_mutable && fs::hard_link(&source, &target).is_ok() {
            continue;
        }
        fs::copy(&source, &target).with_context(|| format!("cannot write {}", target.display()))?;
        // Cargo compares modification times to decide what is fresh.
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
    fn a_template_is_warm_until_a_source_changes_and_is_copied_completely() {
        let home = scratch("template");
        let cache = BuildCache::new(&home);
        cache.prepare().unwrap();
        assert!(!cache.is_warm());
        cache
            .build_template(|path| {
                fs::create_dir_all(path.join("target/deps"))?;
                for dir in [CONTROL_DIR, TOOL_CACHE_DIR] {
                    fs::create_dir(path.join(dir))?;
                }
                fs::write(path.join("target/deps/libcandle.rlib"), vec![1; 20_000])?;
                Ok(fs::write(path.join("target/deps/libmetamers.so"), vec![2; 20_000])?)
            })
            .unwrap();
        assert!(cache.is_warm());

        let kernel_dir = cache.create_kernel_dir().unwrap();
        assert!(kernel_dir.join(CONTROL_DIR).exists() && kernel_dir.join(TOOL_CACHE_DIR).exists());
        fs::write(kernel_dir.join("target/deps/libmetamers.so"), "new").unwrap();
        let kept = fs::read(home.join("target/notebook/template/target/deps/libmetamers.so")).unwrap();
        assert_eq!(kept, vec![2; 20_000], "a kernel must not write into the template");
        let time = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        let file = "target/deps/libcandle.rlib";
        assert_eq!(time(kernel_dir.join(file)), time(home.join("target/notebook/template").join(file)));

        fs::write(home.join("src/lib.rs"), "// changed").unwrap();
        assert!(!cache.is_warm());
        // What cargo does not check is not taken from the template of another kernel.
        let is_checked = |path: &Path| !path.join(CONTROL_DIR).exists() && !path.join(TOOL_CACHE_DIR).exists();
        let kernel_dir = cache.create_kernel_dir().unwrap();
        assert!(is_checked(&kernel_dir) && kernel_dir.join(file).exists());
        cache
            .build_template(|path| {
                assert!(is_checked(path) && path.join(file).exists());
                Ok(())
            })
            .unwrap();
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn directories_of_dead_kernels_are_removed_and_those_of_living_ones_kept() {
        let home = scratch("stale");
        let cache = BuildCache::new(&home);
        let dir = |name: &str| {
            let path = home.join("target/notebook").join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let lock_of = |path: &Path| File::create(lock_path(path)).unwrap();
        // The process ids tell nothing: this one is alive, the other may be that of a kernel in another container.
        let (dead, living) =
            (dir(&format!("kernel-{}-0123abcd", std::process::id())), dir("kernel-2147483000-4567cdef"));
        drop(lock_of(&dead));
        let held = lock_of(&living);
        held.lock_shared().unwrap();
        let (old_dead, old_living) = (dir("kernel-2147483000"), dir(&format!("kernel-{}", std::process::id())));
        // Without a lock file.
        let (left, kept) = (dir("kernel-2147483000-89abcdef"), dir(&format!("kernel-{}-89abcdef", std::process::id())));
        let foreign = dir("kernel-2147483000-backup");
        // Those of another machine, whose locks this one may not see.
        let [recent, touched, silent] = [("1a", 0), ("2b", 540), ("3c", 660)].map(|(name, seconds)| {
            let path = dir(&format!("kernel-7-{name}012345"));
            let mut file = lock_of(&path);
            file.write_all(b"another-machine").unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
            path
        });
        cache.prepare().unwrap();
        assert!(recent.exists() && touched.exists());
        assert!(!silent.exists() && !lock_path(&silent).exists());
        assert!(!dead.exists() && !lock_path(&dead).exists());
        assert!(living.exists() && old_living.exists() && !old_dead.exists());
        assert!(!left.exists() && kept.exists() && foreign.exists());
        drop(held);
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_lock_file_is_removed_after_its_directory_only() {
        let root = tempfile::tempdir().unwrap();
        let (removed, left) = (root.path().join("kernel-1-01234567"), root.path().join("kernel-2-01234567"));
        fs::create_dir_all(removed.join("src")).unwrap();
        // A file cannot be removed as a directory.
        fs::write(&left, "").unwrap();
        for path in [&removed, &left] {
            fs::write(lock_path(path), "").unwrap();
            remove_kernel_dir(path);
        }
        assert!(!removed.exists() && !lock_path(&removed).exists());
        assert!(left.exists() && lock_path(&left).exists());
    }
}
