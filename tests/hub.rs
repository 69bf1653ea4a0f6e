//! Weights from the Hugging Face hub, downloaded from a server in this process.

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{seeded_file, state_dict};
use metamers::network::{Checkpoint, HubFile};
use metamers::prelude::*;
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const MODEL: &str = "someone/resnet50";
const FILE: &str = "model.safetensors";
/// Leads from `blobs` or `snapshots` out of the cache.
const ESCAPE: &str = "../../../escaped";

/// The behavior of the server when it sends a file.
#[derive(Clone, Copy, PartialEq)]
enum Behavior {
    Intact,
    /// Flips a bit.
    Corrupt,
    /// Closes the connection in the middle of the file.
    Truncated,
    /// Accepts connections but sends nothing.
    Silent,
    /// States an ETag that leaves the cache.
    EvilEtag,
    /// States an intact ETag first, and one that leaves the cache for the file itself.
    ChangingEtag,
    /// States a commit that leaves the cache.
    EvilCommit,
    /// Does not send the file without a token.
    Private,
    /// Redirects to a path without the prefix `/old`.
    Moved,
}

/// A server of files by path, `/owner/name/resolve/revision/file`.
struct Hub {
    url: String,
    requests: Arc<AtomicUsize>,
    tokens: Arc<AtomicUsize>,
    behavior: Arc<Mutex<Behavior>>,
}

impl Hub {
    fn with(files: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, behavior) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Behavior::Intact)));
        let tokens = Arc::new(AtomicUsize::new(0));
        let (counted, shared_behavior) = ([requests.clone(), tokens.clone()], behavior.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, counted, shared_behavior) = (files.clone(), counted.clone(), shared_behavior.clone());
                std::thread::spawn(move || respond(stream, &files, &counted, &shared_behavior));
            }
        });
        Self { url, requests, tokens, behavior }
    }

    fn set_behavior(&self, behavior: Behavior) {
        *self.behavior.lock().unwrap() = behavior;
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The number of requests with a token.
    fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    fn file(&self, cache: &Path) -> HubFile {
        HubFile::new(MODEL, FILE).endpoint(&self.url).cache(cache)
    }
}

/// Responds as the hub does: a commit, an ETag with the SHA-256 of the file, and the requested range.
fn respond(
    stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    [requests, tokens]: &[Arc<AtomicUsize>; 2],
    shared_behavior: &Mutex<Behavior>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut to = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut from = 0;
        let mut to_end = true;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 || header == "\r\n" {
                break;
            }
            if header.to_ascii_lowercase().starts_with("authorization:") {
                tokens.fetch_add(1, Ordering::SeqCst);
            }
            if let Some(range) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
                let (first, last) = range.trim().split_once('-').unwrap();
                from = first.parse().unwrap();
                to_end = last.is_empty();
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let behavior = *shared_behavior.lock().unwrap();
        if behavior == Behavior::Silent {
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        if behavior == Behavior::Private {
            let _ = to.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            continue;
        }
        if let (Behavior::Moved, Some(new)) = (behavior, path.strip_prefix("/old")) {
            let head = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {new}\r\nContent-Length: 0\r\n\r\n");
            let _ = to.write_all(head.as_bytes());
            continue;
        }
        let Some(bytes) = files.get(&path) else {
            let _ = to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            continue;
        };
        let etag: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        let etag = match behavior {
            Behavior::EvilEtag => ESCAPE.into(),
            Behavior::ChangingEtag if to_end => ESCAPE.into(),
            _ => etag,
        };
        let commit = if behavior == Behavior::EvilCommit { ESCAPE } else { COMMIT };
        let end = if to_end { bytes.len() } else { (from + 1).min(bytes.len()) };
        let mut part = bytes[from..end].to_vec();
        if behavior == Behavior::Corrupt && to_end {
            let middle = part.len() / 2;
            part[middle] ^= 1;
        }
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nETag: \"{etag}\"\r\n\
             X-Repo-Commit: {commit}\r\n\r\n",
            part.len(),
            end - 1,
            bytes.len()
        );
        let _ = to.write_all(head.as_bytes());
        if behavior == Behavior::Truncated && to_end {
            let _ = to.write_all(&part[..part.len() / 2]);
            return;
        }
        let _ = to.write_all(&part);
    }
}

/// A hub with one small safetensors file at `main` and at `v2`, and its bytes.
fn small_hub() -> (Hub, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    seeded_file(&path, [("conv1.weight".to_owned(), vec![8, 3, 7, 7])]);
    let bytes = std::fs::read(&path).unwrap();
    let at = |revision: &str| (format!("/{MODEL}/resolve/{revision}/{FILE}"), bytes.clone());
    (Hub::with(HashMap::from([at("main"), at("v2")])), bytes)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn assert_contains(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "\"{part}\" is missing in: {message}"));
}

#[test]
fn a_zoo_network_loads_weights_from_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    seeded_file(&path, state_dict("resnet50"));
    let bytes = std::fs::read(&path).unwrap();
    let hub = Hub::with(HashMap::from([(format!("/{MODEL}/resolve/main/{FILE}"), bytes.clone())]));
    let net = zoo::resnet50_from(hub.file(&folder.path().join("cache")).fetch().unwrap()).unwrap();
    assert_eq!(net.weights_source().weights_sha256, sha256(&bytes));
    let same = zoo::resnet50_random(0).unwrap();
    let x = Tensor::full(0.4f32, (1, 3, 224, 224), &Device::Cpu).unwrap();
    let values = |net: &Network| common::flat(&net.forward_to("layer1", &x).unwrap());
    assert_eq!(values(&net), values(&same));
}

#[test]
fn a_file_is_downloaded_once_and_then_read_from_the_cache() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    let path = hub.file(cache.path()).fetch().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert!(Checkpoint::open(&path).unwrap().has("conv1.weight"));
    let requests = hub.requests();
    assert!(requests > 0);
    assert_eq!(hub.file(cache.path()).fetch().unwrap(), path);
    assert_eq!(hub.requests(), requests, "the second fetch sent a request");
    // An unreachable server.
    assert_eq!(hub.file(cache.path()).endpoint("http://127.0.0.1:9").fetch().unwrap(), path);
    // Another revision is another cache entry and is requested.
    hub.file(cache.path()).revision("v2").fetch().unwrap();
    assert!(hub.requests() > requests);
}

#[test]
fn a_file_with_an_unexpected_sha256_is_an_error() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    let correct = sha256(&bytes);
    hub.file(cache.path()).expect_sha256(correct.to_uppercase()).fetch().unwrap();
    let wrong = format!("{}0", &correct[..63]).replace(&correct[..4], "0000");
    let message = hub.file(cache.path()).expect_sha256(&wrong).fetch().unwrap_err().to_string();
    assert_contains(&message, &[&correct, &wrong, "was expected", "delete it"]);
    let message = hub.file(cache.path()).expect_sha256("12ab").fetch().unwrap_err().to_string();
    assert_contains(&message, &["no SHA-256", "12ab"]);
}

/// The path at the start of a message.
fn damaged_file(message: &str) -> &str {
    message.split_once(" has SHA-256").unwrap().0.trim_end_matches(':').trim_matches('"')
}

#[test]
fn damaged_downloads_and_cache_entries_are_detected_by_the_hubs_etag() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    hub.set_behavior(Behavior::Corrupt);
    let message = hub.file(cache.path()).fetch().unwrap_err().to_string();
    assert_contains(&message, &[&sha256(&bytes), "the one that the hub states", "damaged", "delete it"]);
    // As the message says.
    std::fs::remove_file(damaged_file(&message)).unwrap();
    hub.set_behavior(Behavior::Intact);
    let path = hub.file(cache.path()).fetch().unwrap();
    let mut damaged = bytes.clone();
    damaged[200] ^= 4;
    std::fs::write(&path, &damaged).unwrap();
    let message = hub.file(cache.path()).fetch().unwrap_err().to_string();
    assert_contains(&message, &[&sha256(&damaged), "the one that the hub states"]);
    std::fs::remove_file(damaged_file(&message)).unwrap();
    assert_eq!(std::fs::read(hub.file(cache.path()).fetch().unwrap()).unwrap(), bytes);
    // As on a system without links: a file with its ETag beside it.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &damaged).unwrap();
    std::fs::write(path.with_file_name(".model.safetensors.etag"), sha256(&bytes)).unwrap();
    let message = hub.file(cache.path()).fetch().unwrap_err().to_string();
    assert_contains(&message, &[&sha256(&damaged), "the one that the hub states"]);
    std::fs::write(&path, &bytes).unwrap();
    hub.file(cache.path()).fetch().unwrap();
}

#[test]
fn a_broken_download_is_an_error_and_can_be_repeated() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    hub.set_behavior(Behavior::Truncated);
    let message = hub.file(cache.path()).fetch().unwrap_err().to_string();
    assert_contains(&message, &["cannot be fetched", "someone/resnet50"]);
    hub.set_behavior(Behavior::Intact);
    assert_eq!(std::fs::read(hub.file(cache.path()).fetch().unwrap()).unwrap(), bytes);
}

#[test]
fn names_from_the_server_cannot_leave_the_cache() {
    let (hub, _) = small_hub();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    for (behavior, what) in [(Behavior::EvilEtag, "ETag"), (Behavior::EvilCommit, "commit")] {
        hub.set_behavior(behavior);
        let message = hub.file(&cache).fetch().unwrap_err().to_string();
        assert_contains(&message, &["the server's", what, ESCAPE, "cannot be a file name", "nothing was written"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{what}: something was written");
    }
    // The names are those of the first response, so a server cannot change them after they were checked.
    hub.set_behavior(Behavior::ChangingEtag);
    let path = hub.file(&cache).fetch().unwrap();
    assert!(path.canonicalize().unwrap().starts_with(cache.canonicalize().unwrap()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_moved_repository_is_followed() {
    let (hub, bytes) = small_hub();
    hub.set_behavior(Behavior::Moved);
    let cache = tempfile::tempdir().unwrap();
    let path = hub.file(cache.path()).endpoint(format!("{}/old", hub.url)).fetch().unwrap();
    assert_eq!(std::fs::read(path).unwrap(), bytes);
}

#[test]
fn invalid_endpoints_are_errors() {
    let cache = tempfile::tempdir().unwrap();
    for endpoint in ["hub.example", "ftp://hub.example", "file:///etc", ""] {
        let message = HubFile::new(MODEL, FILE).cache(cache.path()).endpoint(endpoint).fetch().unwrap_err().to_string();
        assert_contains(&message, &["endpoint", endpoint, "https://"]);
    }
}

#[test]
fn missing_files_and_invalid_names_are_errors() {
    let (hub, _) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    let fetch = |file: HubFile| file.endpoint(&hub.url).cache(cache.path()).fetch().unwrap_err().to_string();
    assert_contains(
        &fetch(HubFile::new(MODEL, "other.safetensors")),
        &["other.safetensors of someone/resnet50 at main", "404", "names"],
    );
    assert_contains(&fetch(HubFile::new("someone/resnet", FILE)), &["404"]);
    assert_contains(&fetch(HubFile::new(MODEL, FILE).revision("v3")), &["at v3", "404"]);
    let requests = hub.requests();
    assert_contains(&fetch(HubFile::new("a/b/c", FILE)), &["owner/name", "a/b/c"]);
    assert_contains(&fetch(HubFile::new("../secret", FILE)), &["owner/name"]);
    assert_contains(&fetch(HubFile::new(MODEL, "../../x")), &["../../x"]);
    assert_contains(&fetch(HubFile::new(MODEL, FILE).revision("")), &["revision"]);
    assert_eq!(hub.requests(), requests, "an invalid name was requested");
}

#[test]
fn an_unreachable_server_is_an_error_with_remedies() {
    let cache = tempfile::tempdir().unwrap();
    let file = HubFile::new(MODEL, FILE).cache(cache.path());
    let started = Instant::now();
    let message = file.endpoint("http://127.0.0.1:9").fetch().unwrap_err().to_string();
    assert_contains(&message, &["cannot be fetched", "is there a network?", "HF_HUB_OFFLINE=1", "`_from`"]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_silent_server_times_out() {
    let (hub, _) = small_hub();
    hub.set_behavior(Behavior::Silent);
    let cache = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let message = hub.file(cache.path()).timeout(Duration::from_secs(1)).fetch().unwrap_err().to_string();
    assert_contains(&message, &["sent nothing for 1s"]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// Runs in a child process, because environment variables would affect the other tests.
#[test]
fn environment_variables_set_endpoint_cache_and_offline_mode() {
    const CHILD: &str = "METAMERS_HUB_TEST";
    if std::env::var_os(CHILD).is_some() {
        match HubFile::new(MODEL, FILE).fetch() {
            Ok(path) => println!("found {}", path.display()),
            Err(e) => println!("error {e}"),
        }
        return;
    }
    let (hub, _) = small_hub();
    let home = tempfile::tempdir().unwrap();
    let fetch = |offline: &str| {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "environment_variables_set_endpoint_cache_and_offline_mode", "--nocapture"])
            .envs([(CHILD, "1"), ("HF_ENDPOINT", hub.url.as_str()), ("HF_HUB_OFFLINE", offline)])
            .env("HF_HOME", home.path())
            .output()
            .unwrap();
        String::from_utf8(child.stdout).unwrap()
    };
    let error = fetch("1");
    assert_contains(&error, &["error", "is not in the cache", "HF_HUB_OFFLINE forbids"]);
    assert_eq!(hub.requests(), 0, "offline mode sent a request");
    let found = fetch("0");
    assert_contains(&found, &["found", &home.path().join("hub").display().to_string()]);
    let requests = hub.requests();
    assert!(requests > 0);
    assert_contains(&fetch("1"), &["found"]);
    assert_eq!(hub.requests(), requests);
    // A token never goes over http.
    std::fs::write(home.path().join("token"), "hf_secret").unwrap();
    std::fs::remove_dir_all(home.path().join("hub")).unwrap();
    assert_contains(&fetch("0"), &["found"]);
    std::fs::remove_dir_all(home.path().join("hub")).unwrap();
    hub.set_behavior(Behavior::Private);
    assert_contains(&fetch("0"), &["error", "401", "the token was not sent, because the endpoint is not https"]);
    assert!(hub.requests() > requests && hub.tokens() == 0, "a token was sent over http");
}

#[test]
fn simultaneous_fetches_find_one_download() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    let fetched = std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..4).map(|_| scope.spawn(|| hub.file(cache.path()).fetch().unwrap())).collect();
        fetches.into_iter().map(|fetch| fetch.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(fetched.iter().all(|path| std::fs::read(path).unwrap() == bytes && *path == fetched[0]));
    let contents = cache.path().join("models--someone--resnet50/blobs");
    let whole = std::fs::read_dir(contents).unwrap().flatten().filter(|entry| entry.path().extension().is_none());
    // None where the content is moved to its name.
    assert!(whole.count() <= 1);
}
