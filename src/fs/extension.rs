//! Extensions of files, and the names of stimuli from file names.

use std::path::Path;

use crate::{Error, Result};

/// Returns the extension in lower case, without the dot; cameras write `.JPG`.
pub(crate) fn lowercase_extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Returns an error with this advice unless the path has this extension, in any case.
pub(crate) fn check_extension(path: &Path, extension: &str, advice: &str) -> Result<()> {
    match lowercase_extension(path) == extension {
        true => Ok(()),
        false => Err(Error::file(path, advice)),
    }
}

/// Returns whether a file's name begins with a dot: macOS puts `._dog.jpg` beside `dog.jpg` on disks of other systems.
pub(crate) fn is_hidden(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Returns the name of the stimulus in a file: "giant panda" for `photos/giant_panda.jpg`.
pub(crate) fn stimulus_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_and_stimulus_names_of_paths() {
        let both = |path: &str| (stimulus_name(Path::new(path)), lowercase_extension(Path::new(path)));
        assert_eq!(both("photos/giant_panda.JPG"), ("giant panda".into(), "jpg".into()));
        assert_eq!(both("a.b.Metamer"), ("a.b".into(), "metamer".into()));
        assert_eq!(both("photos/dog"), ("dog".into(), String::new()));
        assert_eq!(both(""), (String::new(), String::new()));
        let check = |path: &str| check_extension(Path::new(path), "json", "saved as .json");
        assert!(check("a/null.JSON").is_ok());
        for other in ["null", "null.html", "json", "a.json/null"] {
            assert_eq!(check(other).unwrap_err().to_string(), format!("{other}: saved as .json"));
        }
    }
}
