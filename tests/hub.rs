//! Weights from the hub, by real sockets from a server in this process that answers as the hub does.

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

/// What the server does with the bytes of a file.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    /// Flips a bit on the way.
    Damaging,
    /// Ends in the middle of the file.
    BreakingOff,
    /// Says nothing once it is connected.
    Silent,
}

/// A hub with files by their paths, `/owner/name/resolve/revision/file`.
struct Hub {
    url: String,
    requests: Arc<AtomicUsize>,
    manner: Arc<Mutex<Manner>>,
}

impl Hub {
    fn with(files: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, manner) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Manner::Honest)));
        let (counted, how) = (requests.clone(), manner.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, counted, how) = (files.clone(), counted.clone(), how.clone());
                std::thread::spawn(move || answer(stream, &files, &counted, &how));
            }
        });
        Self { url, requests, manner }
    }

    fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn file(&self, cache: &Path) -> HubFile {
        HubFile::new(MODEL, FILE).endpoint(&self.url).cache(cache)
    }
}

/// As the hub: a commit, an ETag that is the file's SHA-256, and the part of the file that was asked for.
fn answer(stream: TcpStream, files: &HashMap<String, Vec<u8>>, requests: &AtomicUsize, how: &Mutex<Manner>) {
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
            if let Some(range) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
                let (first, last) = range.trim().split_once('-').unwrap();
                from = first.parse().unwrap();
                to_end = last.is_empty();
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let manner = *how.lock().unwrap();
        if manner == Manner::Silent {
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        let Some(bytes) = files.get(&path) else {
            let _ = to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            continue;
        };
        let etag: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        let end = if to_end { bytes.len() } else { (from + 1).min(bytes.len()) };
        let mut part = bytes[from..end].to_vec();
        if manner == Manner::Damaging && to_end {
            let middle = part.len() / 2;
            part[middle] ^= 1;
        }
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nETag: \"{etag}\"\r\n\
             X-Repo-Commit: {COMMIT}\r\n\r\n",
            part.len(),
            end - 1,
            bytes.len()
        );
        let _ = to.write_all(head.as_bytes());
        if manner == Manner::BreakingOff && to_end {
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

fn says(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "\"{part}\" is missing in: {message}"));
}

#[test]
fn a_zoo_network_takes_its_weights_from_the_hub() {
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
fn a_file_is_downloaded_once_and_then_needs_no_server() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    let path = hub.file(cache.path()).fetch().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert!(Checkpoint::open(&path).unwrap().has("conv1.weight"));
    let asked = hub.requests();
    assert!(asked > 0);
    assert_eq!(hub.file(cache.path()).fetch().unwrap(), path);
    assert_eq!(hub.requests(), asked, "the second fetch asked the server");
    // A server that is not there.
    assert_eq!(hub.file(cache.path()).endpoint("http://127.0.0.1:9").fetch().unwrap(), path);
    // Another revision is another file of the cache, and the hub is asked for it.
    hub.file(cache.path()).revision("v2").fetch().unwrap();
    assert!(hub.requests() > asked);
}

#[test]
fn a_file_of_another_sha256_is_refused() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    let right = sha256(&bytes);
    hub.file(cache.path()).expect_sha256(right.to_uppercase()).fetch().unwrap();
    let wrong = format!("{}0", &right[..63]).replace(&right[..4], "0000");
    let message = hub.file(cache.path()).expect_sha256(&wrong).fetch().unwrap_err().to_string();
    says(&message, &[&right, &wrong, "was expected", "delete it"]);
    let message = hub.file(cache.path()).expect_sha256("12ab").fetch().unwrap_err().to_string();
    says(&message, &["no SHA-256", "12ab"]);
}

#[test]
fn damage_on_the_way_and_in_the_cache_is_found_without_a_hash_of_ones_own() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    hub.be(Manner::Damaging);
    let message = hub.file(cache.path()).fetch().unwrap_err().to_string();
    says(&message, &[&sha256(&bytes), "the one that the hub states", "damaged", "delete it"]);
    let blob = std::fs::read_dir(cache.path().join("models--someone--resnet50/blobs")).unwrap();
    let blob = blob.flatten().map(|entry| entry.path()).find(|path| path.extension().is_none()).unwrap();
    std::fs::remove_file(&blob).unwrap();
    hub.be(Manner::Honest);
    hub.file(cache.path()).fetch().unwrap();
    let mut damaged = bytes.clone();
    damaged[200] ^= 4;
    std::fs::write(&blob, &damaged).unwrap();
    let message = hub.file(cache.path()).fetch().unwrap_err().to_string();
    says(&message, &[&sha256(&damaged), "the one that the hub states"]);
}

#[test]
fn a_connection_that_breaks_leaves_nothing_that_passes_for_the_file() {
    let (hub, bytes) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    hub.be(Manner::BreakingOff);
    let message = hub.file(cache.path()).fetch().unwrap_err().to_string();
    says(&message, &["cannot be fetched", "someone/resnet50"]);
    hub.be(Manner::Honest);
    assert_eq!(std::fs::read(hub.file(cache.path()).fetch().unwrap()).unwrap(), bytes);
}

#[test]
fn what_the_hub_does_not_have_is_said_so() {
    let (hub, _) = small_hub();
    let cache = tempfile::tempdir().unwrap();
    let fetch = |file: HubFile| file.endpoint(&hub.url).cache(cache.path()).fetch().unwrap_err().to_string();
    says(
        &fetch(HubFile::new(MODEL, "other.safetensors")),
        &["other.safetensors of someone/resnet50 at main", "404", "names"],
    );
    says(&fetch(HubFile::new("someone/resnet", FILE)), &["404"]);
    says(&fetch(HubFile::new(MODEL, FILE).revision("v3")), &["at v3", "404"]);
    let asked = hub.requests();
    says(&fetch(HubFile::new("a/b/c", FILE)), &["owner/name", "a/b/c"]);
    says(&fetch(HubFile::new("../secret", FILE)), &["owner/name"]);
    says(&fetch(HubFile::new(MODEL, "../../x")), &["../../x"]);
    says(&fetch(HubFile::new(MODEL, FILE).revision("")), &["revision"]);
    assert_eq!(hub.requests(), asked, "a name that is none was asked for");
}

#[test]
fn without_a_server_the_error_says_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let file = HubFile::new(MODEL, FILE).cache(cache.path());
    let begun = Instant::now();
    let message = file.endpoint("http://127.0.0.1:9").fetch().unwrap_err().to_string();
    says(&message, &["cannot be fetched", "is there a network?", "HF_HUB_OFFLINE=1", "`_from`"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let (hub, _) = small_hub();
    hub.be(Manner::Silent);
    let cache = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let message = hub.file(cache.path()).patience(Duration::from_secs(1)).fetch().unwrap_err().to_string();
    says(&message, &["sent nothing for 1s"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// The variables of the environment, in a process of its own: other tests run beside this one.
#[test]
fn the_environment_names_server_and_cache_and_can_forbid_both() {
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
            .args(["--exact", "the_environment_names_server_and_cache_and_can_forbid_both", "--nocapture"])
            .envs([(CHILD, "1"), ("HF_ENDPOINT", hub.url.as_str()), ("HF_HUB_OFFLINE", offline)])
            .env("HF_HOME", home.path())
            .output()
            .unwrap();
        String::from_utf8(child.stdout).unwrap()
    };
    let said = fetch("1");
    says(&said, &["error", "is not in the cache", "HF_HUB_OFFLINE forbids"]);
    assert_eq!(hub.requests(), 0, "offline, the server was asked");
    let found = fetch("0");
    says(&found, &["found", &home.path().join("hub").display().to_string()]);
    let asked = hub.requests();
    assert!(asked > 0);
    says(&fetch("1"), &["found"]);
    assert_eq!(hub.requests(), asked);
}
