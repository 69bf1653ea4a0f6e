//! Feeds every reader of files a fixed number of damaged ones: seeds of the tests, with bytes flipped, numbers replaced by extreme ones, parts
//! cut out, repeated or exchanged with those of another seed. The inputs are the same on every machine.
//!
//! Each reader runs in a process of its own with limits on memory and time. `METAMERS_FUZZ_INPUTS` sets the number of inputs of each reader;
//! `fuzz/` has the same readers for cargo-fuzz.
#![cfg(target_os = "linux")]

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, reason = "cargo-fuzz uses the rest")]
mod readers;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use metamers::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use readers::damage::damaged;
use readers::{READERS, Reader};

/// Inputs of each reader in .ci/run.
const INPUTS: usize = 2_000;
/// Address space of a reader's process in bytes.
const MAX_MEMORY: u64 = 3 << 30;
/// Maximum time of one input.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Maximum size of a seed.
const MAX_SEED: usize = 8 << 20;
/// Names the reader that this process runs.
const READER_VAR: &str = "METAMERS_FUZZ_READER";

/// The seeds of a reader: files of the tests and the assets, and a run of its own network.
fn seeds(reader: &Reader) -> Vec<Vec<u8>> {
    let patterns: &[&str] = match reader.name {
        "image" => &["assets/photos/d*.jpg", "assets/pictures/*.png", "tests/data/no_end_marker.jpg"],
        "sound" => &["assets/speech/s*.wav"],
        "safetensors" => &["tests/data/*.safetensors"],
        "pth" => &["tests/data/*.pth", "tests/data/checkpoints/*.pth"],
        "onnx" => &["tests/data/onnx/*.onnx"],
        "metamer" => &["tests/data/saved/*.metamer"],
        "run" => &[],
        "null" => &["assets/nulls/crepe.json"],
        "plan" => &["examples/*.toml"],
        _ => &["tests/data/saved/answers.json"],
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds = vec![];
    for pattern in patterns {
        let paths: Vec<_> = glob::glob(&root.join(pattern).to_string_lossy()).unwrap().flatten().collect();
        assert!(!paths.is_empty(), "no file is like {pattern}");
        seeds.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    }
    match reader.name {
        "image" => seeds.extend(packed("images")),
        "sound" => seeds.extend(packed("sounds")),
        "run" => seeds.push(saved_run()),
        _ => {}
    }
    seeds.retain(|seed| seed.len() <= MAX_SEED);
    seeds
}

/// The files that the tests of sounds and pictures keep in one archive.
fn packed(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.safetensors"));
    let bytes = std::fs::read(path).unwrap();
    let archive = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let files = archive.tensors().into_iter().filter(|(_, view)| view.dtype() == safetensors::Dtype::U8);
    files.map(|(_, view)| view.data().to_vec()).collect()
}

/// A run of the network with which runs are resumed.
fn saved_run() -> Vec<u8> {
    let photo = Image::open("photos/dog.jpg").unwrap();
    let mut run = Synthesis::new(&readers::NETWORK, "stem", &photo).unwrap().quiet().start().unwrap();
    run.step(2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.run");
    run.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

/// Runs one reader in this process; called by the test below in a child.
fn run(reader: &Reader) {
    let inputs = std::env::var("METAMERS_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(INPUTS);
    let seeds = seeds(reader);
    // Resuming a run compiles its network.
    let inputs = if reader.name == "run" { inputs / 10 } else { inputs };
    let mut accepted = 0;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for index in 0..inputs + seeds.len() {
        let bytes = match seeds.get(index) {
            Some(seed) => seed.clone(),
            None => {
                let (seed, other) = (random.random_range(0..seeds.len()), random.random_range(0..seeds.len()));
                damaged(&seeds[seed], &seeds[other], &mut |n| random.random_range(0..n))
            }
        };
        let start = Instant::now();
        // The number of the last line is that of the input that ended the process.
        println!("input {index}");
        accepted += usize::from(reader.read(&bytes) && index < seeds.len());
        assert!(start.elapsed() < MAX_TIME, "{} took {:?} for input {index}", reader.name, start.elapsed());
    }
    assert!(accepted > 0, "{} refuses all {} undamaged seeds, so damaged ones show nothing", reader.name, seeds.len());
    println!("{}: {inputs} damaged inputs of {} seeds", reader.name, seeds.len());
}

#[test]
fn damaged_files_end_no_reader() {
    if let Ok(name) = std::env::var(READER_VAR) {
        return run(&Reader::from_name(&name));
    }
    for reader in READERS {
        let child = Command::new("prlimit")
            .arg(format!("--as={MAX_MEMORY}"))
            .arg(std::env::current_exe().unwrap())
            .args(["damaged_files_end_no_reader", "--exact", "--nocapture"])
            .env(READER_VAR, reader.name)
            .output()
            .expect("prlimit of util-linux");
        let (printed, errors) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        let last = printed.lines().rfind(|line| line.starts_with("input ")).unwrap_or_default();
        assert!(child.status.success(), "{}, {last}: {}\n{errors}", reader.name, child.status);
        printed.lines().filter(|line| line.starts_with(reader.name)).for_each(|line| println!("{line}"));
    }
}
