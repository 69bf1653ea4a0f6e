//! The cache folder of Hugging Face's tools.

use std::path::{Path, PathBuf};

use crate::platform;

/// The cached files of one model repository, in the layout that Hugging Face's tools share: contents in `blobs` by ETag, links to them in
/// `snapshots` by commit, and in `refs` the commit of each revision.
pub(super) struct HubCache {
    folder: PathBuf,
}

impl HubCache {
    /// The repository `"owner/name"` in a cache folder.
    pub fn new(cache: &Path, repository: &str) -> Self {
        Self { folder: cache.join(format!("models--{}", repository.replace('/', "--"))) }
    }

    /// The default cache folder: below `HF_HOME`, else below the home directory; `None` without either.
    pub fn default_folder() -> Option<PathBuf> {
        Some(home()?.join("hub"))
    }

    /// The token that `hf auth login` stores.
    pub fn token() -> Option<String> {
        let token = std::fs::read_to_string(home()?.join("token")).ok()?;
        Some(token.trim().to_owned()).filter(|token| !token.is_empty())
    }

    /// The cached file of a revision. A commit that cannot be a folder's name counts as missing.
    pub fn find(&self, revision: &str, file: &str) -> Option<PathBuf> {
        // huggingface_hub writes no reference for a revision that is a commit.
        let commit = std::fs::read_to_string(self.reference(revision)).unwrap_or_else(|_| revision.into());
        let path = self.snapshot(Some(commit.trim()).filter(|commit| is_safe_name(commit))?, file);
        path.exists().then_some(path)
    }

    /// The content with an ETag; the name must be safe.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Returns whether the file of a commit has the content with this ETag. The names must be safe.
    pub fn has(&self, commit: &str, file: &str, etag: &str) -> bool {
        let path = self.snapshot(commit, file);
        path.exists() && Self::etag(&path).as_deref() == Some(etag)
    }

    /// Links a file of a commit to its content, and a revision to the commit; returns the link. The names must be safe.
    pub fn link(&self, revision: &str, commit: &str, file: &str, etag: &str) -> std::io::Result<PathBuf> {
        let link = self.snapshot(commit, file);
        create_parent(&link)?;
        if !link.exists() {
            // A link to a deleted content.
            let _ = std::fs::remove_file(&link);
            let up = "../".repeat(2 + file.matches('/').count());
            platform::link(&format!("{up}blobs/{etag}"), &self.blob(etag), &link)?;
            if !link.is_symlink() {
                std::fs::write(etag_file(&link), etag)?;
            }
        }
        let reference = self.reference(revision);
        create_parent(&reference)?;
        std::fs::write(reference, commit)?;
        Ok(link)
    }

    /// The ETag of a cached file, if it is known: the name of the content that it links to. Where files cannot be links, it stands beside them.
    pub fn etag(path: &Path) -> Option<String> {
        if path.is_symlink() {
            return Some(std::fs::canonicalize(path).ok()?.file_name()?.to_str()?.to_owned());
        }
        std::fs::read_to_string(etag_file(path)).ok()
    }

    fn snapshot(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit).join(file)
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }
}

/// The file with the ETag of a file that is no link. No name from a server begins with a dot.
fn etag_file(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.etag"))
}

/// Returns whether a name is one component of a path, without a leading dot, `..` or a separator of any system.
pub(super) fn is_safe_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_short = (1..=200).contains(&name.len());
    is_short && name.chars().all(allowed) && !name.starts_with('.') && !name.contains("..")
}

/// Creates the folder of a file.
pub(super) fn create_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// `HF_HOME`, else its default.
fn home() -> Option<PathBuf> {
    let set = std::env::var_os("HF_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    set.or_else(|| Some(std::env::home_dir()?.join(".cache").join("huggingface")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_a_folder_are_not_safe() {
        for name in ["main", "v1.2", "0123abcdef", "a-b_c"] {
            assert!(is_safe_name(name), "{name}");
        }
        for name in
            ["", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "a..b", "C:", "x\n", "ü", &"x".repeat(201)]
        {
            assert!(!is_safe_name(name), "{name}");
        }
    }

    #[test]
    fn a_reference_that_leaves_the_cache_counts_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        let cache = HubCache::new(&folder.path().join("cache"), "a/b");
        let reference = cache.reference("main");
        create_parent(&reference).unwrap();
        std::fs::create_dir_all(cache.folder.join("snapshots")).unwrap();
        std::fs::write(&reference, "../../..").unwrap();
        assert!(cache.snapshot("../../..", "secret").exists());
        assert_eq!(cache.find("main", "secret"), None);
        assert_eq!(cache.find("../../..", "secret"), None);
    }

    #[test]
    fn a_commit_is_found_without_a_reference() {
        let folder = tempfile::tempdir().unwrap();
        let cache = HubCache::new(folder.path(), "a/b");
        let path = cache.snapshot("0123abcdef", "weights.safetensors");
        create_parent(&path).unwrap();
        std::fs::write(&path, "w").unwrap();
        assert_eq!(cache.find("0123abcdef", "weights.safetensors"), Some(path));
        assert_eq!(cache.find("0123abcdef", "other.safetensors"), None);
        assert_eq!(cache.find("main", "weights.safetensors"), None);
    }
}
