//! The recorded words that ship with the project.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::display::{Bundle, Show, Table};
use crate::fs::assets;
use crate::{Error, Result};

/// A shipped recording of a spoken word, to be opened with [`Sound::open`](super::Sound::open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    path: PathBuf,
    word: String,
    speaker: String,
}

impl Recording {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to open it by in any directory: `speech/seven.wav`.
    pub fn name(&self) -> String {
        format!("speech/{}", self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    /// The word that is said.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// Who says it.
    pub fn speaker(&self) -> &str {
        &self.speaker
    }
}

impl AsRef<Path> for Recording {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The shipped recordings, sorted by name. In a notebook they are a table.
#[derive(Clone, PartialEq, Eq)]
pub struct Recordings(Vec<Recording>);

/// The recorded words that ship with the project; `assets/README.md` says where each is from.
///
/// ```
/// use metamers::prelude::*;
///
/// let words = shipped_recordings()?;
/// let seven = words.iter().find(|recording| recording.word() == "seven").expect("it ships");
/// assert_eq!(Sound::open(seven)?.sample_rate(), 20_000);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// When the project's assets cannot be found, or the list of recordings is damaged.
pub fn shipped_recordings() -> Result<Recordings> {
    let list = assets::shipped("speech/speech.json")?;
    let bytes = std::fs::read(&list).map_err(|e| Error::io(&list, e))?;
    let found = parse(&bytes, list.parent().unwrap_or(Path::new("")));
    Ok(Recordings(found.map_err(|reason| Error::file(&list, reason))?))
}

#[derive(serde::Deserialize)]
struct Entry {
    file: String,
    word: String,
    speaker: String,
}

fn parse(bytes: &[u8], folder: &Path) -> std::result::Result<Vec<Recording>, String> {
    let entries: Vec<Entry> =
        serde_json::from_slice(bytes).map_err(|e| format!("is no intact list of recordings ({e})"))?;
    let mut recordings = vec![];
    for Entry { file, word, speaker } in entries {
        if Path::new(&file).file_name().is_none_or(|name| name != file.as_str()) {
            return Err(format!("names a recording \"{file}\" that is not in its own folder"));
        }
        recordings.push(Recording { path: folder.join(file), word, speaker });
    }
    recordings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(recordings)
}

impl Deref for Recordings {
    type Target = [Recording];

    fn deref(&self) -> &[Recording] {
        &self.0
    }
}

impl IntoIterator for Recordings {
    type Item = Recording;
    type IntoIter = std::vec::IntoIter<Recording>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Recordings {
    type Item = &'a Recording;
    type IntoIter = std::slice::Iter<'a, Recording>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl std::fmt::Debug for Recordings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recordings({} recordings)", self.0.len())
    }
}

impl Show for Recordings {
    fn mime_bundles(&self) -> Vec<Bundle> {
        let caption = format!("{} recorded words ship; Sound::open(\"speech/seven.wav\") opens one", self.0.len());
        let row = |table: Table, r: &Recording| table.row([r.name(), r.word.clone(), r.speaker.clone()]);
        self.0.iter().fold(Table::new(["recording", "word", "speaker"]).caption(caption), row).mime_bundles()
    }
}

crate::show_in_notebooks!(Recordings);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_what_lies_in_the_folder() {
        let recordings = shipped_recordings().unwrap();
        let folder = recordings[0].path().parent().unwrap();
        let mut there: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        there.retain(|path| path.extension().is_some_and(|e| e == "wav"));
        there.sort();
        assert_eq!(recordings.iter().map(|r| r.path().to_path_buf()).collect::<Vec<_>>(), there);
    }

    #[test]
    fn a_damaged_list_is_an_error() {
        assert!(parse(b"[{]", Path::new("speech")).unwrap_err().contains("intact"));
        let outside = br#"[{"file": "../x.wav", "word": "", "speaker": ""}]"#;
        assert!(parse(outside, Path::new("speech")).unwrap_err().contains("own folder"));
    }
}
