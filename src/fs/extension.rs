//! What a file's name says.

use std::path::Path;

/// The ending in small letters, without its dot: a file of a camera is called `.JPG`.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// What a stimulus is called whose file this is: "giant panda" of `photos/giant_panda.jpg`.
pub(crate) fn stimulus_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_an_ending_has_an_empty_one() {
        let both = |path: &str| (stimulus_name(Path::new(path)), extension(Path::new(path)));
        assert_eq!(both("photos/giant_panda.JPG"), ("giant panda".into(), "jpg".into()));
        assert_eq!(both("a.b.Metamer"), ("a.b".into(), "metamer".into()));
        assert_eq!(both("photos/dog"), ("dog".into(), String::new()));
        assert_eq!(both(""), (String::new(), String::new()));
    }
}
