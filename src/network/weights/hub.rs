//! Weights from the Hugging Face hub, with its cache and SHA-256 verification.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hub_cache::{HubCache, is_safe_name};
use super::hub_client::HubClient;
use crate::fs::{files, sha256};
use crate::{Error, Result};

/// Default timeout for a silent server.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The hub's own server.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// A weights file on the Hugging Face hub: its repository, revision, name and expected SHA-256.
///
/// [`HubFile::fetch`] returns a local path, which every `zoo::*_from` function and [`Checkpoint::open`](super::Checkpoint::open)
/// accept. The file is downloaded once, into the cache shared with Hugging Face's tools (`HF_HOME`, else `~/.cache/huggingface`).
///
/// The zoo's loaders expect **torchvision**'s tensor names (`layer1.0.conv1.weight`). timm uses the same names for its ResNets but not
/// for other networks; the error names the missing tensor.
///
/// ```no_run
/// use metamers::network::HubFile;
/// use metamers::prelude::*;
///
/// let weights = HubFile::new("timm/resnet50.tv_in1k", "model.safetensors").fetch()?;
/// let net = zoo::resnet50_from(weights)?;
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// | environment variable | effect |
/// | --- | --- |
/// | `HF_HUB_OFFLINE=1` | uses the cache only, without network access |
/// | `HF_ENDPOINT` | URL of a mirror, instead of `https://huggingface.co` |
/// | `HF_HOME` | folder of the cache and of the token that `hf auth login` stores |
/// | `HF_HUB_DISABLE_IMPLICIT_TOKEN=1` | sends no token |
///
/// The token is sent over https alone, and only to the endpoint itself: a redirect to another server does not carry it. Names that a
/// server states (commit, ETag) become file names in the cache only if they cannot leave its folder.
///
/// The tests use a local server; downloads from the hub itself are untested.
#[derive(Clone, PartialEq)]
pub struct HubFile {
    repository: String,
    file: String,
    revision: String,
    sha256: Option<String>,
    cache: Option<PathBuf>,
    endpoint: Option<String>,
    timeout: Duration,
}

impl HubFile {
    /// A file of the model repository `"owner/name"`, at its main revision.
    #[must_use]
    pub fn new(repository: impl Into<String>, file: impl Into<String>) -> Self {
        Self {
            repository: repository.into(),
            file: file.into(),
            revision: "main".into(),
            sha256: None,
            cache: None,
            endpoint: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Sets the revision: a branch, a tag or a commit. Only a commit is immutable.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = revision.into();
        self
    }

    /// Sets the expected SHA-256, in hexadecimal.
    #[must_use]
    pub fn expect_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }

    /// Sets the cache folder; by default the hub's.
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Sets the server, without a trailing `/`; overrides `HF_ENDPOINT`.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets the timeout for a silent server, at most 2^30 s; 30 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the local path of the file, from the cache or after a download.
    ///
    /// The file is verified against the expected SHA-256, if set, and for large files against the hub's SHA-256. A cached file is
    /// verified on each call.
    ///
    /// # Errors
    /// An invalid name or endpoint; no cache folder without a home directory; a server that is unreachable, silent, does not have the file
    /// or states a commit or an ETag that is no file name; a file that is not cached when `HF_HUB_OFFLINE` is set; a file with another SHA-256, which stays in the cache and is named in the message.
    pub fn fetch(&self) -> Result<PathBuf> {
        self.check_names()?;
        let missing = || {
            self.error("has no cache: there is no home directory; set HF_HOME, or a folder with HubFile::cache".into())
        };
        let folder = self.cache.clone().or_else(HubCache::default_folder).ok_or_else(missing)?;
        let cache = HubCache::new(&folder, &self.repository);
        let path = match cache.find(&self.revision, &self.file) {
            Some(path) => path,
            None if is_set("HF_HUB_OFFLINE") => {
                let reason = format!(
                    "is not in the cache {}, and HF_HUB_OFFLINE forbids downloads; unset it, or fetch the file once on a machine \
                     with a network and copy that folder",
                    folder.display()
                );
                return Err(self.error(reason));
            }
            None => self.download(&cache)?,
        };
        self.check_sha256(&path)?;
        Ok(path)
    }

    fn check_names(&self) -> Result<()> {
        let parts: Vec<&str> = self.repository.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_safe_name(part)) {
            return Err(Error::invalid(
                "repository",
                format!("is not a valid \"owner/name\": \"{}\"", self.repository),
            ));
        }
        if !self.file.split('/').all(is_safe_name) {
            return Err(Error::invalid("file", format!("is not a valid file name in a repository: \"{}\"", self.file)));
        }
        if !self.revision.split('/').all(is_safe_name) {
            return Err(Error::invalid(
                "revision",
                format!("is not a valid branch, tag or commit: \"{}\"", self.revision),
            ));
        }
        match &self.sha256 {
            Some(hash) if !sha256::is_valid(hash) => {
                Err(Error::invalid("sha256", format!("is no SHA-256 in hexadecimal: \"{hash}\"")))
            }
            _ => Ok(()),
        }
    }

    fn download(&self, cache: &HubCache) -> Result<PathBuf> {
        let endpoint = self.endpoint.clone().or_else(|| std::env::var("HF_ENDPOINT").ok());
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.into());
        let token = if is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { HubCache::token() };
        let client =
            HubClient::new(&endpoint, token, self.timeout).map_err(|reason| Error::invalid("endpoint", reason))?;
        let Self { repository, file, revision, .. } = self;
        client
            .download(repository, revision, file, cache)
            .map_err(|reason| self.failed(&reason, client.withholds_token()))
    }

    fn failed(&self, reason: &str, token_withheld: bool) -> Error {
        let advice = match reason {
            r if r.contains("404") => "check the names of owner, repository, file and revision",
            r if (r.contains("401") || r.contains("403")) && token_withheld => {
                "the token was not sent, because the endpoint is not https; use an endpoint that is"
            }
            r if r.contains("401") || r.contains("403") => {
                "the repository is private, gated or misspelt; accept its terms on its web page, and log in with `hf auth login`"
            }
            r if r.contains("cannot be a file name") => "use another server; nothing was written",
            _ => {
                "is there a network? Without one, set HF_HUB_OFFLINE=1 to use cached files, or download the file elsewhere and \
                 give its path to the zoo's `_from` function"
            }
        };
        self.error(format!("cannot be fetched ({reason}); {advice}"))
    }

    fn check_sha256(&self, path: &Path) -> Result<()> {
        // The ETag of a large file is its SHA-256.
        let blob_sha256 = HubCache::etag(path).filter(|etag| sha256::is_valid(etag));
        let expected =
            [(self.sha256.as_ref(), "was expected"), (blob_sha256.as_ref(), "is the one that the hub states")];
        if expected.iter().all(|(hash, _)| hash.is_none()) {
            return Ok(());
        }
        let bytes = files::read(path)?;
        let found = sha256::hex_digest(&bytes);
        for (hash, source) in expected {
            if let Some(hash) = hash
                && !hash.eq_ignore_ascii_case(&found)
            {
                let reason = format!(
                    "has SHA-256 {found}, but {hash} {source}: it is another file, or damaged; delete it to download it again"
                );
                // The content: without the link alone, it would not be downloaded again.
                let content = std::fs::read_link(path).ok().and_then(|_| std::fs::canonicalize(path).ok());
                return Err(Error::file(content.as_deref().unwrap_or(path), reason));
            }
        }
        Ok(())
    }

    fn error(&self, reason: String) -> Error {
        let Self { repository, file, revision, .. } = self;
        Error::invalid(format!("{file} of {repository} at {revision}"), reason)
    }
}

impl std::fmt::Debug for HubFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HubFile({} of {} at {})", self.file, self.repository, self.revision)
    }
}

/// Returns whether a boolean environment variable of the hub's tools is set to true.
fn is_set(variable: &str) -> bool {
    let value = std::env::var(variable).unwrap_or_default();
    ["1", "true", "yes", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}
