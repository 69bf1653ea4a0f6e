//! Notebooks as a person names them: a file, a folder, or the beginning of a name.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The notebooks that are meant, each once, in the order in which they are named.
pub fn notebooks(names: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for name in names {
        for notebook in meant(name)? {
            let notebook =
                notebook.canonicalize().with_context(|| format!("{}: cannot be opened", notebook.display()))?;
            if !found.contains(&notebook) {
                found.push(notebook);
            }
        }
    }
    Ok(found)
}

fn meant(name: &Path) -> Result<Vec<PathBuf>> {
    if name.is_dir() {
        let inside = inside(name)?;
        if inside.is_empty() {
            bail!("{}: there is no notebook in this folder", name.display());
        }
        return Ok(inside);
    }
    if name.exists() || name.extension().is_some_and(|extension| extension == "ipynb") {
        return Ok(vec![name.into()]);
    }
    let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beginning = name.file_name().unwrap_or_default().to_string_lossy();
    let mut fitting = inside(folder)?;
    fitting.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&*beginning)));
    let names = |paths: &[PathBuf]| {
        paths.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect::<Vec<_>>().join(", ")
    };
    match fitting.len() {
        1 => Ok(fitting),
        0 => bail!("{}: no notebook begins so; there is {}", name.display(), names(&inside(folder)?)),
        _ => bail!("{}: several notebooks begin so: {}", name.display(), names(&fitting)),
    }
}

/// The notebooks of a folder, sorted, without what failed runs left behind.
fn inside(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: cannot be opened", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".ipynb") && !name.ends_with(".failed.ipynb")
    });
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_a_folder_and_a_file_name_the_same_notebooks() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["04_a.ipynb", "05_b.ipynb", "05_c.ipynb", "04_a.failed.ipynb", "04.txt"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let of = |names: &[&str]| notebooks(&names.iter().map(|name| folder.join(name)).collect::<Vec<_>>());
        let error = |name: &str| of(&[name]).unwrap_err().to_string();
        assert_eq!(of(&["04"]).unwrap(), [folder.join("04_a.ipynb")]);
        assert_eq!(of(&["05_c", "04_a.ipynb", "04"]).unwrap(), ["05_c.ipynb", "04_a.ipynb"].map(|n| folder.join(n)));
        assert_eq!(of(&[""]).unwrap().len(), 3);
        assert!(error("05").ends_with("several notebooks begin so: 05_b.ipynb, 05_c.ipynb"));
        assert!(error("06").ends_with("no notebook begins so; there is 04_a.ipynb, 05_b.ipynb, 05_c.ipynb"));
        assert!(error("06.ipynb").ends_with("06.ipynb: cannot be opened"));
        assert!(error("no/such").contains("cannot be opened"));
        fs::create_dir(folder.join("empty")).unwrap();
        assert!(error("empty").contains("no notebook in this folder"));
    }
}
