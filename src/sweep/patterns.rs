//! Patterns of a plan: the files that they match.

use std::io::ErrorKind;
use std::path::{MAIN_SEPARATOR, Path, PathBuf, is_separator};

use super::sources::{is_stimulus, not_a_stimulus};
use crate::fs::{assets, extension};
use crate::{Error, Result};

/// The characters that make a path a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// The stimuli of an entry of a plan: a path itself, or the files that match a pattern.
pub(super) fn expand(wanted: &str, base: &Path) -> Result<Vec<String>> {
    match wanted.contains(WILDCARDS) {
        true => expand_pattern(wanted, base),
        false if is_stimulus(wanted) => Ok(vec![wanted.into()]),
        false => Err(not_a_stimulus(wanted)),
    }
}

/// Files relative to the plan that match the pattern, or matching shipped files if the plan has no folder of that name.
fn expand_pattern(pattern: &str, base: &Path) -> Result<Vec<String>> {
    let invalid = |e: glob::PatternError| Error::invalid(pattern, format!("is not a valid pattern ({e})"));
    let prefix = glob::Pattern::escape(&base.to_string_lossy());
    let local = if Path::new(pattern).is_absolute() { pattern.into() } else { Path::new(&prefix).join(pattern) };
    // Cameras write `.JPG`.
    let options = glob::MatchOptions { case_sensitive: false, ..glob::MatchOptions::new() };
    let files = glob::glob_with(&local.to_string_lossy(), options).map_err(invalid)?;
    // The case of the plan's own folder counts: a folder beside it may have the same letters.
    let is_within = |path: &Path| Path::new(pattern).is_absolute() || path.starts_with(base);
    let files = files.filter(|file| is_within(file.as_ref().map_or_else(glob::GlobError::path, PathBuf::as_path)));
    let files = files.collect::<std::result::Result<Vec<PathBuf>, _>>();
    let mut files = files.map_err(|e| Error::io(e.path().to_owned(), e.into()))?;
    files.retain(|file| names_hidden_files(pattern) || !extension::is_hidden(file));
    let relative = |path: PathBuf| {
        let relative = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
        // The same names on every system, so that a sweep can be continued on another one.
        relative.replace(MAIN_SEPARATOR, "/")
    };
    let mut names: Vec<String> = files.into_iter().map(relative).collect();
    let first = names.first().cloned();
    names.retain(|name| is_stimulus(name));
    if !names.is_empty() {
        return Ok(names);
    }
    // Shipped files in the place of the user's own would go unnoticed.
    if let Some(first) = first {
        return Err(not_a_stimulus(&first));
    }
    if is_local(pattern, base) {
        let reason = "matches no image or sound in the plan's folder; without such a folder, shipped files match";
        return Err(Error::invalid(pattern, reason));
    }
    names = assets::matching(&glob::Pattern::new(pattern).map_err(invalid)?);
    names.retain(|name| is_stimulus(name));
    match names.is_empty() {
        true => {
            Err(Error::invalid(pattern, "matches no image or sound in the plan's folder or among the shipped files"))
        }
        false => Ok(names),
    }
}

/// Returns whether a pattern is for files of the plan's folder: it begins with a wildcard, or with a folder there, in any case.
fn is_local(pattern: &str, base: &Path) -> bool {
    let literal = pattern.split(WILDCARDS).next().unwrap_or_default();
    let Some((folder, _)) = literal.split_once(is_separator) else { return true };
    let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    match std::fs::read_dir(base) {
        Ok(entries) => entries.flatten().any(|entry| entry.file_name().eq_ignore_ascii_case(folder)),
        Err(e) => e.kind() != ErrorKind::NotFound,
    }
}

/// Returns whether the last part of a pattern begins with a dot, and so asks for hidden files.
fn names_hidden_files(pattern: &str) -> bool {
    pattern.rsplit(is_separator).next().is_some_and(|last| last.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_files_do_not_take_the_place_of_the_users_own() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let expanded = |pattern: &str| expand(pattern, base).unwrap();
        let error = |pattern: &str| expand(pattern, base).unwrap_err().to_string();
        // Without a folder of that name.
        assert_eq!(expanded("photos/dog*"), ["photos/dog.jpg"]);
        assert!(error("*/dog.jpg").contains("in the plan's folder; without"), "{}", error("*/dog.jpg"));

        let photos = base.join("photos");
        std::fs::create_dir(&photos).unwrap();
        assert!(error("photos/*").contains("in the plan's folder; without"), "{}", error("photos/*"));
        std::fs::write(photos.join("IMG_1.HEIC"), "").unwrap();
        assert!(error("photos/*").starts_with("photos/IMG_1.HEIC: is not a stimulus"), "{}", error("photos/*"));
        for name in ["IMG_2.JPG", "img_3.jpg", "._IMG_2.JPG", ".hidden.png"] {
            std::fs::write(photos.join(name), "").unwrap();
        }
        assert_eq!(expanded("photos/*.jpg"), ["photos/IMG_2.JPG", "photos/img_3.jpg"]);
        assert_eq!(expanded("photos/*"), ["photos/IMG_2.JPG", "photos/img_3.jpg"]);
        assert_eq!(expanded("photos/.*.png"), ["photos/.hidden.png"]);
        assert!(error("photos/dog*").contains("in the plan's folder; without"), "{}", error("photos/dog*"));

        std::fs::rename(photos, base.join("Speech")).unwrap();
        let found = expand("speech/*.wav", base);
        assert!(found.is_err(), "the folder is a shipped one except for a capital letter: {found:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_read_is_an_error() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for name in ["s1", "s2"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("face.png"), "").unwrap();
        }
        let closed = folder.path().join("s2");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        // Root can read it.
        let is_readable = std::fs::read_dir(&closed).is_ok();
        let found = expand("s*/*.png", folder.path());
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        match found {
            Ok(names) => {
                assert!(is_readable, "{names:?}");
                println!("skipped: root reads folders without permissions");
            }
            Err(e) => assert!(!is_readable && e.to_string().contains("s2"), "{e}"),
        }
    }

    #[test]
    fn a_folder_beside_the_plan_whose_name_differs_in_case_is_another() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["Study[1]", "study[1]"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(format!("{name}.png")), "").unwrap();
        }
        // One folder on systems that ignore the case.
        let is_one = std::fs::read_dir(folder.path()).unwrap().count() == 1;
        let found = expand("*.png", &folder.path().join("Study[1]")).unwrap();
        assert!(is_one || found == ["Study[1].png"], "{found:?}");
    }
}
