//! Set-up of the project: the steps from a fresh clone, or from an installed wheel, to a kernel in JupyterLab. Steps that are up to date
//! are skipped.

use crate::file_lock::{is_held, or_unlocked};
use crate::platform::{environment_program, keep_lock, program, python_beside, real_path};
use crate::status::print_status;
use crate::{kernel_spec, prerequisites};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// Succeeds in a Python that has JupyterLab. After an upgrade of Python, that of `.venv` may look for packages in another folder.
const JUPYTERLAB_PROBE: &str = "import importlib.util as u, sys; sys.exit(u.find_spec('jupyterlab') is None)";
/// File at the root of what a wheel installs.
const WHEEL_MARKER: &str = "installed-by-wheel";
/// The project's directory below the prefix of a Python environment in which the wheel is installed.
const INSTALLED_DIR: &str = "share/metamers";

/// A checkout of the project, or the files of it that a wheel installs.
pub struct Project {
    /// Root directory.
    pub root: PathBuf,
}

impl Project {
    /// Finds the project in which this program was built.
    pub fn find() -> Result<Project> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = real_path(&root).context("the project has been moved; run `cargo lab` in its new directory")?;
        Ok(Project { root })
    }

    /// Finds the project that was installed together with this program by a wheel.
    #[must_use]
    pub fn find_installed() -> Option<Project> {
        let program = std::env::current_exe().ok()?;
        let root = program.parent()?.parent()?.join(INSTALLED_DIR);
        root.join(WHEEL_MARKER).exists().then_some(Project { root })
    }

    /// The prefix of the Python environment in which a wheel installed these files; `None` for a checkout.
    #[must_use]
    pub fn prefix(&self) -> Option<PathBuf> {
        self.is_installed().then(|| self.root.parent()?.parent().map(Path::to_owned)).flatten()
    }

    /// True if a wheel installed these files.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.root.join(WHEEL_MARKER).exists()
    }

    /// The directory of what is compiled for notebooks: in a checkout below `target/`, otherwise in the user's cache directory, because the
    /// environment may be read-only and pip should find nothing but what it installed.
    #[must_use]
    pub fn notebook_build_dir(&self) -> PathBuf {
        let user_cache = dirs::cache_dir().filter(|_| self.is_installed());
        user_cache.map_or_else(
            || self.root.join("target").join("notebook"),
            |cache| {
                let mut hasher = DefaultHasher::new();
                self.root.hash(&mut hasher);
                cache.join("metamers").join(format!("notebook-{:016x}", hasher.finish()))
            },
        )
    }

    fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// The path of the kernel's executable.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        let installed = std::env::current_exe().ok().filter(|_| self.is_installed());
        installed.unwrap_or_else(|| self.root.join("target/release").join(program("metamers-kernel")))
    }

    /// A command that runs the Python of the project's virtual environment, or that of the environment with the wheel.
    #[must_use]
    pub fn python(&self) -> Command {
        if self.is_installed() {
            return Command::new(python_beside(&self.kernel()));
        }
        let mut python = Command::new(environment_program(&self.venv(), "python"));
        // Keeps an active environment from leaking in, and prefers this kernel to others of the same name.
        python.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("JUPYTER_PREFER_ENV_PATH", "1");
        python.env("VIRTUAL_ENV", self.venv());
        python
    }

    /// Runs all steps.
    pub fn set_up(&self) -> Result<()> {
        self.set_up_jupyter()?;
        self.compile_library()
    }

    /// Runs the steps that JupyterLab needs, and leaves the library to a process of its own: JupyterLab opens at once, and a kernel that
    /// starts before the library is compiled says so in the cell that waits.
    pub fn set_up_in_background(&self) -> Result<()> {
        self.set_up_jupyter()?;
        if !self.library_is_compiled() {
            print_status(
                "Compiling",
                "metamers for notebooks; the first cell waits for it (about four minutes on two cores)",
            );
            let mut warm = self.kernel_command(&["warm"]);
            let started = warm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            started.with_context(|| format!("cannot run {}", self.kernel().display()))?;
        }
        Ok(())
    }

    fn set_up_jupyter(&self) -> Result<()> {
        if self.is_installed() {
            return prerequisites::check_build_tools();
        }
        prerequisites::check_prerequisites(&self.root)?;
        self.install_packages()?;
        self.disable_announcements()?;
        self.build_kernel()?;
        let dir = self.venv().join("share/jupyter/kernels/metamers");
        if kernel_spec::write_kernel_spec(&dir, &self.root, &self.kernel())? {
            print_status("Installed", "the kernel \"Rust (metamers)\" in .venv");
        }
        Ok(())
    }

    /// Creates the virtual environment and installs JupyterLab.
    pub fn install_packages(&self) -> Result<()> {
        if self.is_installed() {
            return Ok(());
        }
        let stamp = self.venv().join("metamers-requirements.txt");
        let is_current =
            || fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) && self.has_jupyterlab();
        if is_current() {
            return Ok(());
        }
        let _installing = self.lock_for_installation()?;
        // Another process may have installed it in the meantime.
        if is_current() {
            return Ok(());
        }
        print_status("Installing", "JupyterLab and its dependencies in .venv (about a minute)");
        let mut create = Command::new(prerequisites::find_python()?);
        run_step(create.args(["-m", "venv", "--clear"]).arg(self.venv()), "cannot create the virtual environment")?;
        self.pip_install("kernel-spec/lab/requirements.txt")?;
        fs::write(&stamp, REQUIREMENTS).with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// True if the Python of the virtual environment has JupyterLab.
    fn has_jupyterlab(&self) -> bool {
        let mut python = self.python();
        python.args(["-I", "-c", JUPYTERLAB_PROBE]);
        python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        python.status().is_ok_and(|status| status.success())
    }

    fn lock_file(&self, name: &str) -> Result<File> {
        let dir = self.root.join("target");
        let path = dir.join(name);
        // Not truncated, because another process may have locked it.
        // NFS grants a shared lock to those alone who may read.
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = fs::create_dir_all(&dir).and_then(|()| open());
        file.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Waits for other installations, and refuses to replace an environment in which a program runs.
    fn lock_for_installation(&self) -> Result<[File; 2]> {
        let (installing, in_use) = (self.lock_file("venv-installing.lock")?, self.lock_file("venv-in-use.lock")?);
        if is_held(installing.try_lock())? {
            print_status("Waiting", "for another installation in .venv");
            or_unlocked(installing.lock())?;
        }
        if is_held(in_use.try_lock())? {
            bail!(
                "JupyterLab or a notebook of this project is running in .venv, which is out of date; end it, then try again"
            );
        }
        Ok([installing, in_use])
    }

    /// Marks the virtual environment as in use by this process and by the program that replaces it.
    pub(crate) fn mark_in_use(&self) -> Result<()> {
        if self.is_installed() {
            return Ok(());
        }
        let in_use = self.lock_file("venv-in-use.lock")?;
        or_unlocked(in_use.lock_shared())?;
        Ok(keep_lock(in_use)?)
    }

    /// Installs a requirements file of the project in the virtual environment.
    fn pip_install(&self, requirements: &str) -> Result<()> {
        let mut install = self.python();
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"]);
        install.arg(self.root.join(requirements));
        run_step(&mut install, "cannot install the Python packages; check the network connection")
    }

    /// Downloads the networks that do not ship into assets/optional and converts them; files that are there are kept.
    ///
    /// # Errors
    /// If Python is missing, or if a file cannot be downloaded or has the wrong SHA-256.
    pub fn fetch(&self) -> Result<()> {
        self.install_packages()?;
        self.pip_install("scripts/assets/fetch-requirements.txt")?;
        let mut fetch = self.python();
        fetch.arg(self.root.join("scripts/assets")).arg("--optional").current_dir(&self.root);
        run_step(&mut fetch, "the networks were not fetched; the same command continues")?;
        print_status("Fetched", "the networks in assets/optional; the README says how to open each");
        Ok(())
    }

    /// Disables JupyterLab's question to new users about fetching news, which would cover the first notebook.
    fn disable_announcements(&self) -> Result<()> {
        let path = self.venv().join("etc/jupyter/labconfig/page_config.json");
        let wanted = json!({ "disabledExtensions": { "@jupyterlab/apputils-extension:announcements": true } });
        let text = format!("{wanted:#}\n");
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let dir = path.parent().unwrap_or(&self.root);
        let written = fs::create_dir_all(dir).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    fn build_kernel(&self) -> Result<()> {
        if !self.kernel().exists() {
            print_status("Building", "the kernel; the first time takes about ten minutes on two cores");
        }
        let cargo = std::env::var_os("CARGO").filter(|cargo| !cargo.is_empty()).unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["build", "--release", "--package", "metamers-kernel", "--target-dir"])
            .arg(self.root.join("target"));
        build.current_dir(&self.root);
        run_step(
            &mut build,
            "cannot build the kernel; its errors are above. If a download failed, check the network connection",
        )
    }

    fn kernel_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.kernel());
        command.args(arguments).env("METAMERS_HOME", &self.root).current_dir(&self.root);
        command
    }

    fn library_is_compiled(&self) -> bool {
        self.kernel_command(&["warm", "--check"]).status().is_ok_and(|status| status.success())
    }

    fn compile_library(&self) -> Result<()> {
        if self.library_is_compiled() {
            return Ok(());
        }
        print_status("Compiling", "metamers for notebooks; the first time takes about four minutes on two cores");
        run_step(&mut self.kernel_command(&["warm"]), "cannot compile metamers for notebooks")
    }
}

/// Runs a command; fails with the given message if it fails.
fn run_step(command: &mut Command, message: &str) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("{message}"),
        Err(error) => bail!("{message}: cannot run {}: {error}", command.get_program().to_string_lossy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_in_use_is_not_replaced() {
        let root = std::env::temp_dir().join(format!("metamers-in-use-{}", std::process::id()));
        let project = Project { root: root.clone() };
        let in_use = project.lock_file("venv-in-use.lock").unwrap();
        in_use.lock_shared().unwrap();
        let error = project.install_packages().unwrap_err().to_string();
        assert!(error.contains("is running in .venv"), "{error}");
        assert!(!project.venv().exists());
        // An open file cannot be removed on Windows.
        drop(in_use);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn packages_that_cannot_be_installed_are_an_error_each_time() {
        let root = std::env::temp_dir().join(format!("metamers-no-network-{}", std::process::id()));
        fs::create_dir_all(root.join("kernel-spec/lab")).unwrap();
        // Fails like a missing network, but immediately.
        let unreachable = "--no-index\njupyterlab==4.0.0\n";
        fs::write(root.join("kernel-spec/lab/requirements.txt"), unreachable).unwrap();
        let project = Project { root: root.clone() };
        let stamp = project.venv().join("metamers-requirements.txt");
        for _ in 0..2 {
            let error = project.install_packages().unwrap_err().to_string();
            assert!(error.contains("cannot install the Python packages; check the network connection"), "{error}");
            assert!(!stamp.exists());
            // From now on the environment is that of an upgraded Python: the stamp is current, and the packages are missing.
            fs::write(&stamp, REQUIREMENTS).unwrap();
        }
        fs::remove_dir_all(root).unwrap();
    }
}
