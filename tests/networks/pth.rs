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

/// The bytes of tiny.pth with another pickle, and valid checksums.
fn with_pickle(pickle: &[u8]) -> Vec<u8> {
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
    changed.finish().unwrap().into_inner()
}

/// The checksums of the file are valid, but its pickle is not one that PyTorch writes.
#[test]
fn an_inconsistent_pickle_does_not_panic() {
    let with = |pickle: &[u8]| opened(&with_pickle(pickle));
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

/// The pickle of tiny.pth up to its `STOP`, without its protocol.
fn tiny_pickle() -> Vec<u8> {
    let mut whole = zip::ZipArchive::new(std::fs::File::open(data("tiny.pth")).unwrap()).unwrap();
    let mut pickle = vec![];
    whole.by_name("tiny/data.pkl").unwrap().read_to_end(&mut pickle).unwrap();
    pickle[2..pickle.len() - 1].to_vec()
}

/// Pickles that took the stack, or gigabytes, of readers that recurse and copy.
#[test]
fn nested_and_shared_objects_cost_no_more_than_their_bytes() {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    // Tuples and dicts in each other, two million and half a million deep.
    let tuples = [&b")"[..], &[0x85; 2_000_000]].concat();
    let dicts = [[&b"}"[..], &text("a")].concat().repeat(500_000), b"N".to_vec(), b"s".repeat(500_000)].concat();
    // 40 objects, each of which holds the one before twice: tuples as in the case that was reported, and dicts.
    let mut doubled = text("lol");
    let mut doubled_dicts = b"}".to_vec();
    for i in 50..90 {
        doubled.extend([b'q', i, b'(', b'h', i, b'h', i, b't']);
        let part = [&[b'q', i, b'}', b'('][..], &text("a"), &[b'h', i], &text("b"), &[b'h', i, b'u']].concat();
        doubled_dicts.extend(part);
    }
    for hostile in [tuples, dicts, doubled, doubled_dicts] {
        let alone = [b"\x80\x02", hostile.as_slice(), b"."].concat();
        assert!(opened(&with_pickle(&alone)).is_none());
        // Beside a state dict they do no harm.
        let beside = [b"\x80\x02}(", &*text("log"), &hostile, &text("state_dict"), &tiny_pickle(), b"u."].concat();
        assert_is_tiny(&opened(&with_pickle(&beside)).unwrap());
    }
    // Nine million empty lists, nine million marks, and strings of 4 GB.
    let strings = b"X\xff\xff\xff\xff".repeat(3);
    for endless in
        [b"]".repeat(9_000_000), b"(".repeat(9_000_000), strings, b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()]
    {
        assert!(opened(&with_pickle(&[b"\x80\x02", endless.as_slice(), b"."].concat())).is_none());
    }
}

/// A megabyte that a thousand entries of the archive share.
#[test]
fn overlapping_entries_are_an_error() {
    let mut archive = zip::ZipWriter::new(Cursor::new(vec![]));
    for (name, size) in [("a/data.pkl", 4), ("a/data/0000", 1 << 20)] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&vec![b'.'; size]).unwrap();
    }
    let bytes = archive.finish().unwrap().into_inner();
    let (body, end) = bytes.split_at(bytes.len() - 22);
    let number = |at: usize| u32::from_le_bytes(end[at..at + 4].try_into().unwrap()) as usize;
    let (local, directory) = body.split_at(number(16));
    let last = directory.windows(4).rposition(|signature| signature == b"PK\x01\x02").unwrap();
    let record = &directory[last..];
    let mut records = directory.to_vec();
    for i in 1..1000 {
        let name = format!("a/data/{i:04}");
        records.extend([&record[..46], name.as_bytes(), &record[46 + name.len()..]].concat());
    }
    let count = 1001u16.to_le_bytes();
    let size = (records.len() as u32).to_le_bytes();
    let all = [local, &records, &end[..8], &count, &count, &size, &end[16..]].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlap.pth");
    std::fs::write(&path, all).unwrap();
    let message = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(message.contains("entries larger than the file"), "{message}");
}
