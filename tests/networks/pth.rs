//! Zip checkpoints of PyTorch: intact, truncated, damaged and inconsistent files.

use std::io::{Cursor, Read, Write};

use crate::common::{data, flat};
use metamers::network::Checkpoint;
use rand::{RngExt, SeedableRng};

fn assert_is_tiny(weights: &Checkpoint) {
    assert_eq!(weights.names(), ["conv.weight"]);
    let tensor = weights.tensor("conv.weight", &[2, 2, 1, 3]).unwrap();
    assert_eq!(flat(&tensor), (0..12).map(|i| i as f32).collect::<Vec<_>>());
}

#[test]
fn zip_checkpoints_are_read_and_truncated_ones_are_errors() {
    assert_is_tiny(&Checkpoint::open(data("tiny.pth")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truncated.pth");
    let bytes = std::fs::read(data("tiny.pth")).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(Checkpoint::open(&path).err().unwrap().to_string().contains("truncated.pth"));
}

/// Opens these bytes as a checkpoint, and asserts that an error names the file.
fn opened(bytes: &[u8]) -> Option<Checkpoint> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pth");
    std::fs::write(&path, bytes).unwrap();
    let opened = Checkpoint::open(&path);
    if let Err(error) = &opened {
        assert!(error.to_string().contains("damaged.pth"), "{error}");
    }
    opened.ok()
}

#[test]
fn a_damaged_zip_checkpoint_is_an_error_or_gives_the_original_tensors() {
    let whole = std::fs::read(data("tiny.pth")).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let (mut same, mut rejected) = (0, 0);
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        if random.random_range(0..4) == 0 {
            bytes.truncate(random.random_range(0..bytes.len()));
        } else {
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
        }
        // Damage to padding or dates has no effect.
        match opened(&bytes) {
            Some(weights) => {
                assert_is_tiny(&weights);
                same += 1;
            }
            None => rejected += 1,
        }
    }
    println!("{same} unchanged, {rejected} rejected");
    assert!(rejected > 500 && same > 50, "{rejected} rejected, {same} unchanged: too few of one kind");
}

/// The checksums of the file are valid, but its pickle is not one that PyTorch writes.
#[test]
fn an_inconsistent_pickle_does_not_panic() {
    let with = |pickle: &[u8]| {
        let mut whole = zip::ZipArchive::new(std::fs::File::open(data("tiny.pth")).unwrap()).unwrap();
        let mut changed = zip::ZipWriter::new(Cursor::new(vec![]));
        for index in 0..whole.len() {
            let mut entry = whole.by_index(index).unwrap();
            let name = entry.name().unwrap().into_owned();
            changed.start_file(&name, zip::write::SimpleFileOptions::default()).unwrap();
            let mut bytes = vec![];
            entry.read_to_end(&mut bytes).unwrap();
            changed.write_all(if name.ends_with("data.pkl") { pickle } else { &bytes }).unwrap();
        }
        opened(&changed.finish().unwrap().into_inner())
    };
    let mut pickle = vec![];
    let mut whole = zip::ZipArchive::new(std::fs::File::open(data("tiny.pth")).unwrap()).unwrap();
    whole.by_name("tiny/data.pkl").unwrap().read_to_end(&mut pickle).unwrap();
    assert_is_tiny(&with(&pickle).unwrap());
    // A shape of 50 GB, where the file holds 48 bytes of data.
    let shape = b"K\x02K\x02K\x01K\x03t";
    let at = pickle.windows(shape.len()).position(|w| w == shape).unwrap();
    assert!(with(&[&pickle[..at], b"J\xff\xff\xff\x7f", &pickle[at + 2..]].concat()).is_none());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    for _ in 0..1000 {
        let mut bytes = pickle.clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        if let Some(weights) = with(&bytes) {
            assert!(!weights.names().is_empty());
        }
    }
}
