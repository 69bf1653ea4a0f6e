//! Resolution of notebook arguments: a file, a directory, or the beginning of a file name.

use crate::platform::real_path;
use crate::project::Project;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Resolves arguments to notebooks, each listed once, in the order of the arguments.
pub fn resolve_notebooks(names: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for name in names {
        for notebook in resolve(name)? {
            let notebook = real_path(&notebook).with_context(|| format!("{}: cannot be opened", notebook.display()))?;
            if !found.contains(&notebook) {
                found.push(notebook);
            }
        }
    }
    Ok(found)
}

/// Copies the project's notebooks to a new directory; returns their number.
///
/// # Errors
/// If the directory exists or cannot be written.
pub fn copy_notebooks(project: &Project, dir: &Path) -> Result<usize> {
    let notebooks = notebooks_in(&project.root.join("notebooks"))?;
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    fs::create_dir(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for notebook in &notebooks {
        let copy = dir.join(notebook.file_name().unwrap_or_default());
        fs::copy(notebook, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(notebooks.len())
}

fn resolve(name: &Path) -> Result<Vec<PathBuf>> {
    if name.is_dir() {
        let notebooks = notebooks_in(name)?;
        if notebooks.is_empty() {
            bail!("{}: no notebook in this directory", name.display());
        }
        return Ok(notebooks);
    }
    if name.exists() || name.extension().is_some_and(|extension| extension == "ipynb") {
        return Ok(vec![name.into()]);
    }
    let dir = name.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = name.file_name().unwrap_or_default().to_string_lossy();
    let mut matching = notebooks_in(dir)?;
    matching.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&*prefix)));
    let names = |paths: &[PathBuf]| {
        paths.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect::<Vec<_>>().join(", ")
    };
    match matching.len() {
        1 => Ok(matching),
        0 => bail!(
            "{}: no notebook has a name that starts with this; available: {}",
            name.display(),
            names(&notebooks_in(dir)?)
        ),
        _ => bail!("{}: ambiguous, several notebooks match: {}", name.display(), names(&matching)),
    }
}

/// The notebooks in a directory, sorted, without the partial results of failed runs and without hidden files, such as macOS's `._01.ipynb`.
fn notebooks_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("{}: cannot be opened", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".ipynb") && !name.ends_with(".failed.ipynb") && !name.starts_with('.')
    });
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_directories_and_name_prefixes_are_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let dir = real_path(dir.path()).unwrap();
        for name in ["04_a.ipynb", "05_b.ipynb", "05_c.ipynb", "04_a.failed.ipynb", "04.txt", "._04_a.ipynb"] {
            fs::write(dir.join(name), "").unwrap();
        }
        let resolved = |names: &[&str]| resolve_notebooks(&names.iter().map(|name| dir.join(name)).collect::<Vec<_>>());
        let error = |name: &str| resolved(&[name]).unwrap_err().to_string();
        assert_eq!(resolved(&["04"]).unwrap(), [dir.join("04_a.ipynb")]);
        assert_eq!(resolved(&["05_c", "04_a.ipynb", "04"]).unwrap(), ["05_c.ipynb", "04_a.ipynb"].map(|n| dir.join(n)));
        assert_eq!(resolved(&[""]).unwrap().len(), 3);
        assert!(error("05").ends_with("several notebooks match: 05_b.ipynb, 05_c.ipynb"));
        assert!(error("06").ends_with("available: 04_a.ipynb, 05_b.ipynb, 05_c.ipynb"));
        assert!(error("06.ipynb").ends_with("06.ipynb: cannot be opened"));
        assert!(error("no/such").contains("cannot be opened"));
        fs::create_dir(dir.join("empty")).unwrap();
        assert!(error("empty").contains("no notebook in this directory"));
    }
}
