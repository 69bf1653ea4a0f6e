//! Checkpoints of usual training programs (scripts/reference/checkpoint_layouts.py), and files of other kinds.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use crate::common::{data, flat};
use metamers::candle::{Device, Tensor};
use metamers::network::Checkpoint;
use rand::{RngExt, SeedableRng};
use zip::write::SimpleFileOptions;

const SHAPES: [(&str, &[usize]); 3] =
    [("classifier.1.weight", &[3, 4]), ("features.0.bias", &[2]), ("features.0.weight", &[2, 3, 2, 2])];

fn layout(name: &str) -> PathBuf {
    data("checkpoints").join(format!("{name}.pth"))
}

/// Asserts that the weights are those of the script: value i of each tensor is i / 8.
fn assert_is_network(weights: &Checkpoint, what: &str) {
    assert_eq!(weights.names(), SHAPES.map(|(name, _)| name), "{what}");
    for (name, shape) in SHAPES {
        let values = flat(&weights.tensor(name, shape).unwrap());
        let expected: Vec<f32> = (0..values.len()).map(|i| i as f32 / 8.0).collect();
        assert_eq!(values, expected, "{what}, {name}");
    }
}

fn message(name: &str) -> String {
    Checkpoint::open(layout(name)).unwrap_err().to_string()
}

#[test]
fn the_state_dict_is_found_in_each_layout() {
    let errors = ["two_networks", "whole_model", "expanded"];
    let mut opened = 0;
    for entry in std::fs::read_dir(data("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if !errors.contains(&name) {
            assert_is_network(&Checkpoint::open(&path).unwrap(), name);
            opened += 1;
        }
    }
    assert!(opened >= 17, "{opened} layouts");
}

#[test]
fn checkpoints_without_one_state_dict_are_errors_with_a_remedy() {
    let several = message("two_networks");
    assert!(
        several.contains("two_networks.pth: holds several state dicts: [\"generator\"], [\"discriminator\"]"),
        "{several}"
    );
    assert!(several.contains("map_location=\"cpu\")[\"generator\"], other)"), "{several}");
    let whole = message("whole_model");
    assert!(whole.contains("the class torch.nn.modules.container.Sequential"), "{whole}");
    assert!(whole.contains("torch.save(model.state_dict(), file)"), "{whole}");
    let expanded = message("expanded");
    assert!(expanded.contains("tensor \"weight\"") && expanded.contains("many times the size"), "{expanded}");
}

#[test]
fn tensors_are_found_by_their_names_in_the_file() {
    let weights = Checkpoint::open(layout("robustness")).unwrap();
    let by = |name: &str| flat(&weights.tensor(name, &[2, 3, 2, 2]).unwrap());
    let plain = by("features.0.weight");
    for name in ["model.features.0.weight", "module.model.features.0.weight"] {
        assert!(weights.has(name) && weights.shape(name).unwrap() == [2, 3, 2, 2] && by(name) == plain, "{name}");
    }
    assert!(!weights.has("module.normalizer.new_mean"));
    let weights = Checkpoint::open(layout("parallel_part")).unwrap();
    assert_eq!(flat(&weights.tensor("features.module.0.weight", &[2, 3, 2, 2]).unwrap()), plain);
}

#[test]
fn a_missing_tensor_is_an_error_that_lists_those_of_the_file() {
    let weights = Checkpoint::open(layout("dtypes")).unwrap();
    let message = |name: &str| weights.tensor(name, &[1]).unwrap_err().to_string();
    let missing = message("conv1.weight");
    assert!(missing.contains("dtypes.pth: no tensor named \"conv1.weight\""), "{missing}");
    assert!(
        missing.contains("3 tensors of the file: classifier.1.weight, features.0.bias, features.0.weight"),
        "{missing}"
    );
    let misspelt = message("features.0.weights");
    assert!(misspelt.contains("did you mean features.0.weight?"), "{misspelt}");
    for (name, expected) in [
        ("mask", "holds integers, expected floats"),
        ("features.1.num_batches_tracked", "holds integers"),
        ("phase", "a type that is not supported"),
    ] {
        assert!(message(name).contains(expected), "{}", message(name));
    }
}

/// The message of the error for these bytes in the file `x.pth`.
fn refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    std::fs::write(&path, bytes).unwrap();
    let message = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(message.contains("x.pth: "), "{message}");
    message
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(vec![]));
    for (name, content) in entries {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn files_of_other_kinds_are_named() {
    let html = b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head></html>";
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345\n";
    let tar = [&[b'a'; 257][..], b"ustar\x0000"].concat();
    let files: [(&[u8], &[&str]); 15] = [
        (html, &["is an HTML page (\"Google Drive - Virus scan warning\")", "in a browser"]),
        (b"\xEF\xBB\xBF\r\n <html>\n<body>404", &["is an HTML page, not weights"]),
        (lfs, &["is a git-lfs pointer to a file of 12345 bytes", "git lfs pull"]),
        (b"", &["is empty"]),
        (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied", &["XML", "AccessDenied"]),
        (b"{\"error\": \"not found\"}", &["is a JSON text that begins with \"{\"error\": \"not found\"}\""]),
        (b"{\"metadata\": {}, \"weight_map\": {\"a\": \"model-1.safetensors\"}}", &["weights in several files"]),
        (b"Not Found", &["is a text that begins with \"Not Found\""]),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", &["is a Python pickle without"]),
        (b"\x1f\x8b\x08\x00", &["gzip", "decompress"]),
        (b"\x89HDF\r\n\x1a\n\0\0", &["HDF5"]),
        (b"\x93NUMPY\x01\0", &["NumPy"]),
        (&tar, &["tar archive", "before 0.1.10"]),
        (b"PK\x03\x04 cut short", &["not a valid zip archive", "damaged or cut short"]),
        (b"\x10\0\0\0\0\0\0\0{\"a\":", &["not a valid safetensors file"]),
    ];
    for (bytes, parts) in files {
        let message = refused(bytes);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let archives: [(&[&str], &str); 6] = [
        (&["readme.txt", "data/a.csv"], "is a zip archive of something else (entries: readme.txt, data/a.csv)"),
        (&["arr_0.npy", "arr_1.npy"], "NumPy arrays (.npz)"),
        (&["folder/readme.txt", "folder/net.pth"], "holds folder/net.pth; extract it first"),
        (&["[Content_Types].xml", "word/document.xml"], "Office document"),
        (&["n/data.pkl", "n/constants.pkl", "n/code/__torch__.py"], "TorchScript"),
        (&[], "empty zip archive"),
    ];
    for (names, part) in archives {
        let message = refused(&zip_of(&names.iter().map(|name| (*name, &b"x"[..])).collect::<Vec<_>>()));
        assert!(message.contains(part), "{message}");
    }
    let big_endian = zip_of(&[("a/data.pkl", b"\x80\x02}."), ("a/byteorder", b"big")]);
    assert!(refused(&big_endian).contains("big-endian"));
}

#[test]
fn damaged_pickles_of_training_programs_do_not_panic() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pth");
    let (mut opened, mut rejected) = (0, 0);
    for name in ["robustness", "strided", "model_state_dict", "dtypes", "protocol4", "parameters"] {
        let whole = std::fs::read(layout(name)).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(&whole)).unwrap();
        let mut entries = vec![];
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let mut content = vec![];
            std::io::copy(&mut entry, &mut content).unwrap();
            entries.push((entry.name().unwrap().into_owned(), content));
        }
        let pickle = entries.iter().position(|(name, _)| name.ends_with("/data.pkl")).unwrap();
        for _ in 0..400 {
            let mut damaged = entries.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..damaged[pickle].1.len());
                damaged[pickle].1[at] = random.random();
            }
            let damaged: Vec<(&str, &[u8])> =
                damaged.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
            std::fs::write(&path, zip_of(&damaged)).unwrap();
            match Checkpoint::open(&path) {
                Ok(weights) => opened += usize::from(!weights.names().is_empty()),
                Err(error) => {
                    assert!(error.to_string().contains("damaged.pth: "), "{error}");
                    rejected += 1;
                }
            }
        }
    }
    println!("{opened} opened, {rejected} rejected");
    assert!(opened + rejected == 2400 && rejected > 500, "{opened} opened, {rejected} rejected");
}

#[test]
fn safetensors_of_integers_and_of_overlapping_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let integers = Tensor::new(&[1u8, 0], &Device::Cpu).unwrap();
    let floats = Tensor::new(&[0.5f32], &Device::Cpu).unwrap();
    let tensors = [("model.mask".to_owned(), integers), ("model.conv.weight".to_owned(), floats)].into();
    metamers::candle::safetensors::save(&tensors, &path).unwrap();
    let weights = Checkpoint::open(&path).unwrap();
    assert_eq!(weights.names(), ["conv.weight"]);
    assert!(weights.tensor("mask", &[2]).unwrap_err().to_string().contains("holds U8 values"));
    // A header of 19280 bytes, whose length begins with the bytes "PK" of a zip archive.
    let header = r#"{"conv.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let bytes = [&19280u64.to_le_bytes()[..], format!("{header:19280}").as_bytes(), &[0; 4]].concat();
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(Checkpoint::open(&path).unwrap().names(), ["conv.weight"]);
    // A thousand tensors that share the same megabyte.
    let entry = |i: usize| format!(r#""t{i}":{{"dtype":"F32","shape":[262144],"data_offsets":[0,1048576]}}"#);
    let header = format!("{{{}}}", (0..1000).map(entry).collect::<Vec<_>>().join(","));
    let bytes = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &vec![0; 1 << 20]].concat();
    assert!(refused(&bytes).contains("not a valid safetensors file"));
}
