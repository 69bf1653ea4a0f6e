//! The photos and recordings that ship with the project.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::display::{MimeBundle, Show, Table};
use crate::fs::{assets, files};
use crate::{Error, Result};

/// A shipped photo, which [`Image::open`](super::Image::open) opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    path: PathBuf,
    subject: String,
    classes: Vec<String>,
}

impl Photo {
    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The relative path that opens the photo in any working directory: `photos/dog.jpg`.
    #[must_use]
    pub fn name(&self) -> String {
        relative_path::<Self>(&self.path)
    }

    /// The subject of the photo, such as "giant panda".
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The ImageNet classes that are correct answers; empty if ImageNet has no class for the subject.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The attributions of all shipped photos.
    pub(crate) fn attributions() -> Result<Vec<Attribution>> {
        attributions::<Self>()
    }
}

impl AsRef<Path> for Photo {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// A shipped recording of a spoken word, which [`Sound::open`](super::Sound::open) opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    path: PathBuf,
    word: String,
    speaker: String,
}

impl Recording {
    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The relative path that opens the recording in any working directory: `speech/seven.wav`.
    #[must_use]
    pub fn name(&self) -> String {
        relative_path::<Self>(&self.path)
    }

    /// The spoken word.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The name of the speaker.
    #[must_use]
    pub fn speaker(&self) -> &str {
        &self.speaker
    }

    /// The attributions of all shipped recordings.
    pub(crate) fn attributions() -> Result<Vec<Attribution>> {
        attributions::<Self>()
    }
}

impl AsRef<Path> for Recording {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Author, licence and source of a shipped stimulus, as its list states them.
#[derive(serde::Deserialize)]
pub(crate) struct Attribution {
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    #[serde(alias = "speaker")]
    pub author: String,
    pub licence: String,
    /// The address of the original; `None` if only the package is known.
    pub original: Option<String>,
    pub source_package: String,
    /// A remark on the original or on changes of the package.
    pub note: Option<String>,
    /// The changes of this project.
    pub changes: String,
}

/// A list of shipped stimuli, sorted by name; a notebook displays it as a table.
#[derive(Clone, PartialEq, Eq)]
pub struct Library<T>(Vec<T>);

/// The shipped photos.
pub type Photos = Library<Photo>;

/// The shipped recordings.
pub type Recordings = Library<Recording>;

/// Returns the photos that ship with the project; `assets/README.md` lists their sources.
///
/// ```
/// use metamers::prelude::*;
///
/// let photos = shipped_photos()?;
/// let dog = photos.iter().find(|photo| photo.name() == "photos/dog.jpg").expect("it ships");
/// assert_eq!(Image::open(dog)?.name(), "dog");
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// When the project's assets are not found, or the list of photos is damaged.
pub fn shipped_photos() -> Result<Photos> {
    shipped()
}

/// Returns the recorded words that ship with the project; `assets/README.md` lists their sources.
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
/// When the project's assets are not found, or the list of recordings is damaged.
pub fn shipped_recordings() -> Result<Recordings> {
    shipped()
}

/// The part of a [`Library`] that depends on the kind of stimulus.
trait Shipped: AsRef<Path> + Sized {
    /// An entry of the list in the assets.
    type Entry: DeserializeOwned;

    /// The folder in the assets.
    const FOLDER: &str;
    /// The file name of the list.
    const LIST: &str;
    /// The name of a stimulus, in the singular.
    const NOUN: &str;
    /// The headers of the table.
    const HEADERS: [&str; 3];

    /// The file name in an entry.
    fn file(entry: &Self::Entry) -> &str;

    fn from_entry(path: PathBuf, entry: Self::Entry) -> Self;

    fn table_row(&self) -> [String; 3];

    /// The caption of a table of this many stimuli.
    fn caption(count: usize) -> String;
}

#[derive(serde::Deserialize)]
struct PhotoEntry {
    file: String,
    subject: String,
    imagenet_names: Vec<String>,
}

impl Shipped for Photo {
    type Entry = PhotoEntry;

    const FOLDER: &str = "photos";
    const LIST: &str = "photos.json";
    const NOUN: &str = "photo";
    const HEADERS: [&str; 3] = ["photo", "subject", "ImageNet class"];

    fn file(entry: &PhotoEntry) -> &str {
        &entry.file
    }

    fn from_entry(path: PathBuf, entry: PhotoEntry) -> Self {
        Self { path, subject: entry.subject, classes: entry.imagenet_names }
    }

    fn table_row(&self) -> [String; 3] {
        [self.name(), self.subject.clone(), self.classes.join(" or ")]
    }

    fn caption(count: usize) -> String {
        format!("{count} shipped photos; open one with Image::open(\"photos/dog.jpg\")")
    }
}

#[derive(serde::Deserialize)]
struct RecordingEntry {
    file: String,
    word: String,
    speaker: String,
}

impl Shipped for Recording {
    type Entry = RecordingEntry;

    const FOLDER: &str = "speech";
    const LIST: &str = "speech.json";
    const NOUN: &str = "recording";
    const HEADERS: [&str; 3] = ["recording", "word", "speaker"];

    fn file(entry: &RecordingEntry) -> &str {
        &entry.file
    }

    fn from_entry(path: PathBuf, entry: RecordingEntry) -> Self {
        Self { path, word: entry.word, speaker: entry.speaker }
    }

    fn table_row(&self) -> [String; 3] {
        [self.name(), self.word.clone(), self.speaker.clone()]
    }

    fn caption(count: usize) -> String {
        format!("{count} shipped recordings of words; open one with Sound::open(\"speech/seven.wav\")")
    }
}

/// The path of a shipped file relative to the assets.
fn relative_path<T: Shipped>(path: &Path) -> String {
    format!("{}/{}", T::FOLDER, path.file_name().unwrap_or_default().to_string_lossy())
}

/// The path and the bytes of a list.
fn read_list<T: Shipped>() -> Result<(PathBuf, Vec<u8>)> {
    let list = assets::shipped(&format!("{}/{}", T::FOLDER, T::LIST))?;
    let bytes = files::read(&list)?;
    Ok((list, bytes))
}

fn attributions<T: Shipped>() -> Result<Vec<Attribution>> {
    let (list, bytes) = read_list::<T>()?;
    parse_entries::<T, _>(&bytes).map_err(|reason| Error::file(list, reason))
}

fn shipped<T: Shipped>() -> Result<Library<T>> {
    let (list, bytes) = read_list::<T>()?;
    let stimuli = parse(&bytes, list.parent().unwrap_or(Path::new("")));
    Ok(Library(stimuli.map_err(|reason| Error::file(&list, reason))?))
}

/// Parses the entries of a list. The error is the reason, without the path.
fn parse_entries<T: Shipped, E: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<Vec<E>, String> {
    serde_json::from_slice(bytes).map_err(|e| format!("not a valid list of {}s ({e})", T::NOUN))
}

/// Parses a list of stimuli in `folder`. The error is the reason, without the path.
fn parse<T: Shipped>(bytes: &[u8], folder: &Path) -> std::result::Result<Vec<T>, String> {
    let mut stimuli = vec![];
    for entry in parse_entries::<T, T::Entry>(bytes)? {
        let file = T::file(&entry).to_owned();
        if Path::new(&file).file_name().is_none_or(|name| name != file.as_str()) {
            return Err(format!("the {} \"{file}\" is outside the folder of the list", T::NOUN));
        }
        stimuli.push(T::from_entry(folder.join(file), entry));
    }
    stimuli.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    Ok(stimuli)
}

impl<T> Deref for Library<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for Library<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Library<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Shipped> std::fmt::Debug for Library<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({} {}s)", self.0.len(), T::NOUN)
    }
}

impl<T: Shipped> Show for Library<T> {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let table = Table::new(T::HEADERS).caption(T::caption(self.0.len()));
        self.0.iter().fold(table, |table, stimulus| table.row(stimulus.table_row())).mime_bundles()
    }
}

crate::show_in_notebooks!(Photos, Recordings);

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Checks that a list names exactly the files with `extension` in its folder.
    fn assert_complete<T: Shipped>(list: &Library<T>, extension: &str) {
        let folder = list[0].as_ref().parent().unwrap();
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == extension));
        files.sort();
        assert_eq!(list.iter().map(|stimulus| stimulus.as_ref().to_path_buf()).collect::<Vec<_>>(), files);
    }

    #[test]
    fn the_lists_match_their_folders() {
        assert_complete(&shipped_photos().unwrap(), "jpg");
        assert_complete(&shipped_recordings().unwrap(), "wav");
    }

    #[test]
    fn the_table_has_the_photo_and_its_class() {
        let bundles = shipped_photos().unwrap().mime_bundles();
        let (text, html) = (bundles[0].plain(), &bundles[0].data()["text/html"]);
        let panda = text.lines().find(|line| line.starts_with("photos/giant_panda.jpg")).unwrap();
        assert!(panda.contains("giant panda"), "{panda}");
        assert!(html.contains("<td") && html.contains("photos/giant_panda.jpg"));
        assert!(!text.contains("assets"), "the table does not depend on the machine");
    }

    #[test]
    fn a_damaged_list_is_an_error_or_stays_in_its_folder() {
        let whole = std::fs::read(assets::shipped("photos/photos.json").unwrap()).unwrap();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut errors = 0;
        for _ in 0..200 {
            let mut bytes = whole.clone();
            if random.random::<bool>() {
                bytes.truncate(random.random_range(0..bytes.len()));
            }
            for _ in 0..random.random_range(0..8) {
                if !bytes.is_empty() {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] = random.random();
                }
            }
            match parse::<Photo>(&bytes, Path::new("photos")) {
                Ok(photos) => assert!(photos.iter().all(|p| p.path.parent() == Some(Path::new("photos")))),
                Err(reason) => {
                    assert!(!reason.is_empty());
                    errors += 1;
                }
            }
        }
        assert!(errors > 80, "only {errors} of 200 damaged lists were rejected");
    }

    #[test]
    fn a_list_cannot_name_files_outside_its_folder() {
        let photo = br#"[{"file": "../../secret.jpg", "subject": "", "imagenet_names": []}]"#;
        assert!(parse::<Photo>(photo, Path::new("photos")).unwrap_err().contains("outside the folder"));
        let recording = br#"[{"file": "../x.wav", "word": "", "speaker": ""}]"#;
        assert!(parse::<Recording>(recording, Path::new("speech")).unwrap_err().contains("outside the folder"));
        assert!(parse::<Recording>(b"[{]", Path::new("speech")).unwrap_err().contains("not a valid list"));
    }
}
