//! Downloads from the Hugging Face hub.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::{Agent, Body};

use super::hub_cache::{HubCache, create_parent, is_safe_name};

/// Maximum number of redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// Maximum timeout, 34 years: the time at which a longer one ends may overflow [`std::time::Instant`].
const MAX_TIMEOUT: Duration = Duration::from_secs(1 << 30);
/// Bytes per write to the disk.
const BUFFER_BYTES: usize = 1 << 16;
/// Interval at which a lock that another process holds is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// A client of one hub server. Its errors are reasons, without the name of the file.
pub(super) struct HubClient {
    agent: Agent,
    endpoint: Uri,
    /// `None` if there is none, or if the endpoint is not https.
    token: Option<String>,
    token_withheld: bool,
    timeout: Duration,
}

/// The identity of a file, as the server states it.
#[derive(Debug, Default, PartialEq)]
struct Identity {
    commit: String,
    etag: String,
}

impl HubClient {
    /// A client of the server at `endpoint`. The token is kept for https alone; an https endpoint is not left for http.
    pub fn new(endpoint: &str, token: Option<String>, timeout: Duration) -> Result<Self, String> {
        let invalid = || format!("is not a URL of a server: \"{endpoint}\"; it starts with https:// or http://");
        let uri: Uri = endpoint.trim_end_matches('/').parse().map_err(|_| invalid())?;
        let is_https = match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => true,
            (Some("http"), Some(_)) => false,
            _ => return Err(invalid()),
        };
        let timeout = timeout.min(MAX_TIMEOUT);
        let some = Some(timeout);
        let config = Agent::config_builder().max_redirects(0).https_only(is_https);
        let config = config.timeout_resolve(some).timeout_connect(some).timeout_send_request(some);
        let config = config.timeout_recv_response(some).timeout_per_read(some);
        let agent = config.user_agent(concat!("metamers/", env!("CARGO_PKG_VERSION"))).build().into();
        let token_withheld = token.is_some() && !is_https;
        Ok(Self { agent, endpoint: uri, token: token.filter(|_| is_https), token_withheld, timeout })
    }

    /// Returns whether there is a token that is not sent, because the endpoint is not https.
    pub fn withholds_token(&self) -> bool {
        self.token_withheld
    }

    /// Downloads a file into the cache, or continues a download; returns its path in the cache. All names must be safe.
    pub fn download(&self, repository: &str, revision: &str, file: &str, cache: &HubCache) -> Result<PathBuf, String> {
        let base = self.endpoint.to_string();
        let base = base.trim_end_matches('/');
        let url = format!("{base}/{repository}/resolve/{}/{file}", revision.replace('/', "%2F"));
        let (response, url, headers) = self.get(parse_url(&url)?, "bytes=0-0")?;
        let Identity { commit, etag } = identity(&headers)?;
        let size = total_size(&response)?;
        drop(response);
        let blob = cache.blob(&etag);
        let failed = |e: std::io::Error| format!("cannot write {}: {e}", blob.display());
        create_parent(&blob).map_err(failed)?;
        let lock = lock(&with_suffix(&blob, "lock")).map_err(failed)?;
        // Another process may have downloaded it meanwhile.
        if !blob.exists() && !cache.has(&commit, file, &etag) {
            let part = with_suffix(&blob, "part");
            self.fill(&url, &part, size)?;
            std::fs::rename(&part, &blob).map_err(failed)?;
        }
        let path = cache.link(revision, &commit, file, &etag).map_err(failed);
        drop(lock);
        path
    }

    /// Downloads what a file lacks to its size.
    fn fill(&self, url: &Uri, part: &Path, size: u64) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("cannot write {}: {e}", part.display());
        let mut file = OpenOptions::new().append(true).create(true).open(part).map_err(failed)?;
        let mut written = file.metadata().map_err(failed)?.len();
        if written > size {
            file.set_len(0).map_err(failed)?;
            written = 0;
        }
        if written == size {
            return Ok(());
        }
        let (response, _, _) = self.get(url.clone(), &format!("bytes={written}-"))?;
        if response.status() != StatusCode::PARTIAL_CONTENT && written > 0 {
            // The server sends the whole file.
            file.set_len(0).map_err(failed)?;
            written = 0;
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = body.read(&mut buffer).map_err(|e| self.reason(&e.into()))?;
            if count == 0 {
                break;
            }
            written += count as u64;
            if written > size {
                return Err(format!("the server sent more than the {size} bytes that it stated"));
            }
            file.write_all(&buffer[..count]).map_err(failed)?;
        }
        if written < size {
            return Err(format!("the server ended the connection after {written} of {size} bytes"));
        }
        file.sync_all().map_err(failed)
    }

    /// Requests a range of bytes and follows redirects. Returns the last response and its URL, and the headers of the first response that
    /// states a commit.
    fn get(&self, mut url: Uri, range: &str) -> Result<(Response<Body>, Uri, HeaderMap), String> {
        let mut headers = None;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.agent.get(&url).header("Range", range).header("Accept-Encoding", "identity");
            if let Some(token) = self.token.as_ref().filter(|_| same_origin(&url, &self.endpoint)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|e| self.reason(&e))?;
            if headers.is_none() && response.headers().contains_key("x-repo-commit") {
                headers = Some(response.headers().clone());
            }
            if !response.status().is_redirection() {
                return Ok((response, url, headers.unwrap_or_default()));
            }
            let location = header(response.headers(), "location").ok_or("the server redirects to no address")?;
            url = redirect(&url, location)?;
        }
        Err(format!("the server redirects more than {MAX_REDIRECTS} times"))
    }

    fn reason(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("the server sent nothing for {:.0?}", self.timeout),
            ureq::Error::RequireHttpsOnly(url) => format!("the server redirects from https to {url}"),
            error => error.to_string(),
        }
    }
}

/// The commit and the ETag in the headers of a response; both become names in the cache.
fn identity(headers: &HeaderMap) -> Result<Identity, String> {
    let missing = |name: &str| format!("the server states no {name}; is it a Hugging Face hub or a mirror of one?");
    let commit = header(headers, "x-repo-commit").ok_or_else(|| missing("X-Repo-Commit"))?;
    let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag")).ok_or_else(|| missing("ETag"))?;
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    for (what, name) in [("commit", commit), ("ETag", etag)] {
        if !is_safe_name(name) {
            let shown: String = name.chars().take(80).collect();
            return Err(format!("the server's {what} {shown:?} cannot be a file name"));
        }
    }
    Ok(Identity { commit: commit.into(), etag: etag.into() })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The size of the whole file, of which a response may hold a range.
fn total_size(response: &Response<Body>) -> Result<u64, String> {
    let headers = response.headers();
    let stated = match response.status() {
        StatusCode::PARTIAL_CONTENT => header(headers, "content-range").and_then(|range| range.rsplit('/').next()),
        _ => header(headers, "content-length"),
    };
    stated.and_then(|size| size.trim().parse().ok()).ok_or_else(|| "the server states no size".into())
}

fn parse_url(url: &str) -> Result<Uri, String> {
    url.parse().map_err(|_| format!("invalid address {url:?}"))
}

/// The address of a redirect: a URL, or a path on the same server.
fn redirect(from: &Uri, location: &str) -> Result<Uri, String> {
    if location.starts_with('/') && !location.starts_with("//") {
        let scheme = from.scheme_str().unwrap_or("https");
        let authority = from.authority().map_or("", |authority| authority.as_str());
        return parse_url(&format!("{scheme}://{authority}{location}"));
    }
    let to = parse_url(location)?;
    match to.scheme_str() {
        Some("http" | "https") => Ok(to),
        _ => Err(format!("the server redirects to {location:?}, which is no URL")),
    }
}

/// Returns whether two URLs have the same scheme, host and port.
fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme_str() == b.scheme_str() && host(a) == host(b) && port(a) == port(b)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

/// Waits for the lock of a download. On file systems without locks, downloads are not excluded from each other.
fn lock(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        std::thread::sleep(LOCK_INTERVAL);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_https_alone() {
        let client = |endpoint: &str| HubClient::new(endpoint, Some("hf_x".into()), Duration::from_secs(1)).unwrap();
        let (safe, plain) = (client("https://hub.example"), client("http://hub.example"));
        assert!(safe.token.is_some() && !safe.withholds_token());
        assert!(plain.token.is_none() && plain.withholds_token());
        for endpoint in ["hub.example", "ftp://hub.example", "https://", "", "/x"] {
            assert!(
                HubClient::new(endpoint, None, Duration::from_secs(1)).is_err_and(|e| e.contains("https://")),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn an_endless_timeout_is_capped() {
        let timeout = |timeout| HubClient::new("https://hub.example", None, timeout).unwrap().timeout;
        assert_eq!(timeout(Duration::MAX), MAX_TIMEOUT);
        assert_eq!(timeout(Duration::from_secs(5)), Duration::from_secs(5));
    }

    #[test]
    fn a_token_is_sent_to_its_own_server_alone() {
        let same = |a: &str, b: &str| same_origin(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://hub.example/a", "https://HUB.example:443"));
        for other in
            ["http://hub.example", "https://hub.example:444", "https://hub.example.evil", "https://cdn.hub.example"]
        {
            assert!(!same("https://hub.example", other), "{other}");
        }
    }

    #[test]
    fn redirects_are_urls_or_paths_of_the_same_server() {
        let from: Uri = "https://hub.example:8/a/b?c".parse().unwrap();
        let to = |location: &str| redirect(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/x?y").unwrap(), "https://hub.example:8/x?y");
        assert_eq!(to("https://cdn.example/z").unwrap(), "https://cdn.example/z");
        for location in ["//evil.example", "x", "file:///etc/passwd", "", "javascript:1"] {
            assert!(to(location).is_err(), "{location}");
        }
    }

    #[test]
    fn a_commit_or_an_etag_that_is_no_file_name_is_an_error() {
        let identity = |commit: &str, etag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-repo-commit", commit.parse().unwrap());
            headers.insert("etag", etag.parse().unwrap());
            identity(&headers)
        };
        let good = Identity { commit: "0a".into(), etag: "1b".into() };
        assert_eq!(identity("0a", "\"1b\"").unwrap(), good);
        assert_eq!(identity("0a", "W/\"1b\"").unwrap(), good);
        for (commit, etag) in [("../0a", "1b"), ("0a", "../../1b"), ("0a", "/etc/x"), ("", "1b"), ("0a", "a\\b")] {
            assert!(identity(commit, etag).unwrap_err().contains("cannot be a file name"), "{commit} {etag}");
        }
    }
}
