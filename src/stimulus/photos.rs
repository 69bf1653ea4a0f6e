//! The photos that ship with the project.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::display::{Bundle, Show, Table};
use crate::fs::assets;
use crate::{Error, Result};

/// A shipped photo, to be opened with [`Image::open`](super::Image::open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    path: PathBuf,
    subject: String,
    classes: Vec<String>,
}

impl Photo {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to open it by in any directory: `photos/dog.jpg`.
    pub fn name(&self) -> String {
        format!("photos/{}", self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    /// What it shows.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The ImageNet classes that are a right answer; none when ImageNet has no class of it.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

impl AsRef<Path> for Photo {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The shipped photos, sorted by name. In a notebook they are a table.
#[derive(Clone, PartialEq, Eq)]
pub struct Photos(Vec<Photo>);

/// The photos that ship with the project; `assets/README.md` says where each is from.
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
/// When the project's assets cannot be found, or the list of photos is damaged.
pub fn shipped_photos() -> Result<Photos> {
    let list = assets::shipped("photos/photos.json")?;
    let bytes = std::fs::read(&list).map_err(|e| Error::io(&list, e))?;
    let photos = parse(&bytes, list.parent().unwrap_or(Path::new("")));
    Ok(Photos(photos.map_err(|reason| Error::file(&list, reason))?))
}

#[derive(serde::Deserialize)]
struct Entry {
    file: String,
    subject: String,
    imagenet_names: Vec<String>,
}

fn parse(bytes: &[u8], folder: &Path) -> std::result::Result<Vec<Photo>, String> {
    let entries: Vec<Entry> =
        serde_json::from_slice(bytes).map_err(|e| format!("is no intact list of photos ({e})"))?;
    let mut photos = vec![];
    for Entry { file, subject, imagenet_names } in entries {
        if Path::new(&file).file_name().is_none_or(|name| name != file.as_str()) {
            return Err(format!("names a photo \"{file}\" that is not in its own folder"));
        }
        photos.push(Photo { path: folder.join(file), subject, classes: imagenet_names });
    }
    photos.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(photos)
}

impl Deref for Photos {
    type Target = [Photo];

    fn deref(&self) -> &[Photo] {
        &self.0
    }
}

impl IntoIterator for Photos {
    type Item = Photo;
    type IntoIter = std::vec::IntoIter<Photo>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Photos {
    type Item = &'a Photo;
    type IntoIter = std::slice::Iter<'a, Photo>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl std::fmt::Debug for Photos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Photos({} photos)", self.0.len())
    }
}

impl Show for Photos {
    fn mime_bundles(&self) -> Vec<Bundle> {
        let table = Table::new(["photo", "shows", "ImageNet class"])
            .caption(format!("{} photos ship; Image::open(\"photos/dog.jpg\") opens one", self.0.len()));
        let row =
            |table: Table, photo: &Photo| table.row([photo.name(), photo.subject.clone(), photo.classes.join(" or ")]);
        self.0.iter().fold(table, row).mime_bundles()
    }
}

crate::show_in_notebooks!(Photos);

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn the_list_holds_what_lies_in_the_folder() {
        let photos = shipped_photos().unwrap();
        let folder = photos[0].path().parent().unwrap();
        let mut there: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        there.retain(|path| path.extension().is_some_and(|e| e == "jpg"));
        there.sort();
        assert_eq!(photos.iter().map(|p| p.path().to_path_buf()).collect::<Vec<_>>(), there);
    }

    #[test]
    fn the_table_names_photo_and_class() {
        let bundles = shipped_photos().unwrap().mime_bundles();
        let (text, html) = (bundles[0].plain(), &bundles[0].data()["text/html"]);
        let panda = text.lines().find(|line| line.starts_with("photos/giant_panda.jpg")).unwrap();
        assert!(panda.contains("giant panda"), "{panda}");
        assert!(html.contains("<td") && html.contains("photos/giant_panda.jpg"));
        assert!(!text.contains("assets"), "a machine's path says nothing");
    }

    #[test]
    fn a_damaged_list_is_an_error_or_a_list() {
        let whole = std::fs::read(assets::shipped("photos/photos.json").unwrap()).unwrap();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut refused = 0;
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
            match parse(&bytes, Path::new("photos")) {
                Ok(photos) => assert!(photos.iter().all(|p| p.path.parent() == Some(Path::new("photos")))),
                Err(reason) => {
                    assert!(!reason.is_empty());
                    refused += 1;
                }
            }
        }
        assert!(refused > 80, "the damage did too little");
        let outside = br#"[{"file": "../../secret.jpg", "subject": "", "imagenet_names": []}]"#;
        assert!(parse(outside, Path::new("photos")).unwrap_err().contains("own folder"));
    }
}
