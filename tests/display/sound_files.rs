//! Sound files of many formats against libsndfile and FFmpeg (scripts/reference/sounds.py), and files that are refused by name.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};
use metamers::prelude::*;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use crate::common::{flat, json, max_difference, tensors};

/// The files of tests/data/sounds.safetensors: name, bytes, sample rate and expected samples.
fn reference() -> Vec<(String, Vec<u8>, u32, Vec<f32>)> {
    let tensors = tensors("sounds.safetensors");
    let case = |case: &serde_json::Value| {
        let name = case["file"].as_str().unwrap().to_string();
        let bytes = tensors[&name].to_vec1::<u8>().unwrap();
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(case["sha256"], sha256, "{name}: the file has changed since the reference was computed");
        let rate = case["rate"].as_u64().unwrap() as u32;
        let values = flat(&tensors[&format!("{name}.values")]);
        (name, bytes, rate, values)
    };
    json("sounds.json").as_array().unwrap().iter().map(case).collect()
}

#[test]
fn every_format_bit_depth_and_chunk_order_equals_the_reference() {
    let files = reference();
    assert!(files.len() >= 240, "{} files", files.len());
    for (name, bytes, rate, expected) in files {
        let sound = Sound::from_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((sound.sample_rate(), sound.len()), (rate, expected.len()), "{name}");
        let off = max_difference(sound.values(), &expected);
        assert!(off < 1e-6, "{name}: off by {off}");
    }
}

#[test]
fn files_cut_anywhere_are_errors_or_shorter_and_never_panic() {
    for (name, bytes, _, expected) in reference() {
        for tenths in [0, 1, 3, 5, 8] {
            let cut = &bytes[..bytes.len() * tenths / 10];
            match Sound::from_bytes(cut) {
                Ok(sound) => {
                    // Only formats whose header lacks a length open; what is there is right.
                    assert!(sound.len() <= expected.len() + 1152, "{name} at {tenths}/10");
                    let states_no_length = [".mp3", ".aac", ".ogg", ".oga"].iter().any(|e| name.ends_with(e));
                    let is_stream = name.starts_with("data-") || name.starts_with("lame");
                    assert!(states_no_length || is_stream, "{name} at {tenths}/10 opens");
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.len() > 20 && !error.contains("HTML"), "{name} at {tenths}/10: {error}");
                }
            }
        }
    }
}

#[test]
fn damaged_files_of_all_formats_never_panic() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let (mut opened, mut refused) = (0, 0);
    for (name, whole, ..) in reference().iter().filter(|(name, ..)| !name.contains("WAV")) {
        for _ in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..6) {
                let limit = if random.random::<bool>() { bytes.len().min(200) } else { bytes.len() };
                bytes[random.random_range(0..limit)] = random.random();
            }
            match Sound::from_bytes(&bytes) {
                Ok(sound) => {
                    assert!(sound.values().iter().all(|v| v.abs() <= 1.0), "{name}");
                    opened += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(opened > 500 && refused > 500, "{opened} open, {refused} refused");
}

fn float_file(samples: &[f32]) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate: 8_000, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|&s| writer.write_sample(s).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

#[test]
fn a_peak_above_one_is_an_error_that_names_open_scaled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("over.wav");
    std::fs::write(&path, float_file(&[0.51, -1.02, 0.0])).unwrap();
    let error = Sound::open(&path).unwrap_err().to_string();
    assert!(error.contains("the peak is 1.02") && error.contains("Sound::open_scaled"), "{error}");
    let sound = Sound::open_scaled(&path).unwrap();
    assert_eq!((sound.values(), sound.name()), (&[0.5, -1.0, 0.0][..], "over"));
    std::fs::write(&path, float_file(&[0.0, f32::NAN])).unwrap();
    assert!(Sound::open_scaled(&path).unwrap_err().to_string().contains("not finite"));
    std::fs::write(&path, float_file(&[0.0, f32::INFINITY])).unwrap();
    assert!(Sound::open_scaled(&path).unwrap_err().to_string().contains("not finite"));
    let quiet = [0.25, -0.5];
    std::fs::write(&path, float_file(&quiet)).unwrap();
    assert_eq!(Sound::open_scaled(&path).unwrap().values(), quiet);
}

#[test]
fn the_format_is_told_by_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memo.wav");
    let (_, flac, _, expected) = reference().into_iter().find(|(name, ..)| name == "PCM_16-1.flac").unwrap();
    std::fs::write(&path, flac).unwrap();
    let sound = Sound::open(&path).unwrap();
    assert_eq!((sound.len(), sound.name()), (expected.len(), "memo"));
}

#[test]
fn other_files_are_named_and_never_called_damaged() {
    let named: [(&[u8], &str); 17] = [
        (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x02", "Opus"),
        (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\0\xAA\0\x62\xCE\x6C", "Windows Media"),
        (b"#!AMR\n<some frames", "AMR"),
        (b"\x1A\x45\xDF\xA3 webm matroska", "Matroska or WebM"),
        (b"RIFF\0\0\0\0AVI LIST....hdrl", "AVI"),
        (b"caff\0\x01\0\0desc", "Core Audio"),
        (b"MThd\0\0\0\x06\0\x01", "notes"),
        (b"wvpk....", "WavPack"),
        (b"\x89PNG\r\n\x1a\n....", "Image::open"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"%PDF-1.7 not a sound at all, by any means", "PDF"),
        (b"<!DOCTYPE html><html>404", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5", "git lfs pull"),
        (b"PK\x03\x04....", "ZIP"),
        (b"\x93NUMPY\x01\0", "numpy"),
        (b"RIFX\0\0\0\x24WAVEfmt ", "RIFX"),
        (b"any bytes that have no signature", "supported formats are WAV, FLAC"),
    ];
    for (bytes, part) in named {
        let error = Sound::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("damaged"), "{error}");
    }
    // A WAV file with another codec.
    let mut gsm = float_file(&[0.0; 65]);
    let at = gsm.windows(4).position(|w| w == b"fmt ").unwrap() + 8;
    gsm[at..at + 2].copy_from_slice(&0x31u16.to_le_bytes());
    let error = Sound::from_bytes(&gsm).unwrap_err().to_string();
    assert!(error.contains("GSM 6.10") && error.contains("16-bit PCM"), "{error}");
}
