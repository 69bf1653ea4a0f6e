//! Sounds: valid, damaged and invalid files, resampling, levels and noise.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};
use metamers::prelude::*;
use rand::{RngExt, SeedableRng};

use crate::common::max_difference;

fn wav(channels: u16, rate: u32, bits: u16, samples: &[i32]) -> Vec<u8> {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int };
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|&s| writer.write_sample(s).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn wav_of_floats(rate: u32, samples: &[f32]) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|&s| writer.write_sample(s).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn error(bytes: &[u8]) -> String {
    Sound::from_bytes(bytes).unwrap_err().to_string()
}

#[test]
fn pcm_and_float_files_open_with_their_sample_values() {
    for (bits, half) in [(8, 64), (16, 16_384), (24, 4_194_304), (32, 1_073_741_824)] {
        let sound = Sound::from_bytes(&wav(1, 22_050, bits, &[0, half, -half, half / 2])).unwrap();
        assert_eq!((sound.sample_rate(), sound.values()), (22_050, &[0.0, 0.5, -0.5, 0.25][..]), "{bits} bits");
    }
    let sound = Sound::from_bytes(&wav_of_floats(96_000, &[0.1, -1.0, 1.0])).unwrap();
    assert_eq!((sound.sample_rate(), sound.values()), (96_000, &[0.1, -1.0, 1.0][..]));
}

#[test]
fn stereo_channels_are_averaged() {
    let sound = Sound::from_bytes(&wav(2, 8_000, 16, &[16_384, 0, -16_384, -16_384])).unwrap();
    assert_eq!(sound.values(), [0.25, -0.5]);
}

#[test]
fn invalid_sound_files_are_errors_with_a_reason() {
    assert!(error(&[]).contains("the file is empty"));
    assert!(error(b"%PDF-1.7 not a sound at all, by any means").contains("not a sound but a PDF document"));
    assert!(error(&wav(1, 8_000, 16, &[])).contains("has no samples"));
    let whole = wav(1, 8_000, 16, &[5; 1000]);
    assert!(error(&whole[..1200]).contains("truncated: its header claims 1000 samples"), "{}", error(&whole[..1200]));
    assert!(
        error(&wav_of_floats(8_000, &[0.0, f32::NAN, 0.1, f32::INFINITY])).contains("2 values that are not finite")
    );
    assert!(error(&wav_of_floats(8_000, &[0.0, 1.5])).contains("1.5"));
    assert!(error(&wav(1, 3, 16, &[1, 2])).contains("100 to 768000 Hz"));
    assert!(Sound::open("no_such.wav").unwrap_err().to_string().contains("no_such.wav"));
}

/// The offset of the valid bits per sample in an extensible header.
const VALID_BITS: usize = 38;

/// A file of three samples with an extensible header.
fn extensible(bits: u16, valid: u16) -> Vec<u8> {
    let full = [0, 1 << (bits - 2), -(1 << (bits - 2))];
    let mut bytes = wav(1, 8_000, bits, &full);
    assert_eq!((&bytes[20..22], &bytes[VALID_BITS..VALID_BITS + 2]), (&[0xFE, 0xFF][..], &bits.to_le_bytes()[..]));
    bytes[VALID_BITS..VALID_BITS + 2].copy_from_slice(&valid.to_le_bytes());
    bytes
}

#[test]
fn an_extensible_header_with_too_many_valid_bits_is_an_error() {
    for bits in [24, 32] {
        // 0 means that all bits are valid, as in other readers; fewer are left-aligned.
        for valid in [bits, 0, 20] {
            assert_eq!(Sound::from_bytes(&extensible(bits, valid)).unwrap().values(), [0.0, 0.5, -0.5]);
        }
        for valid in [33, 64, 65, 66, 255, 32_768, u16::MAX] {
            let error = error(&extensible(bits, valid));
            assert!(error.contains(&format!("{valid} bits per sample are not supported")), "{error}");
        }
    }
    assert!(error(&extensible(24, 25)).contains("25 bits per sample do not fit the header's 24"));
}

/// Returns whether these bytes decode to a valid sound; decoding must never panic.
fn decodes(bytes: &[u8]) -> bool {
    let Ok(sound) = Sound::from_bytes(bytes) else { return false };
    assert!(!sound.values().is_empty() && sound.values().iter().all(|v| v.abs() <= 1.0));
    assert!((100..=768_000).contains(&sound.sample_rate()));
    true
}

#[test]
fn damaged_sound_files_never_panic() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let samples = [0, 90, -100, 127, 5, -6, 64, 0];
    let mut files: Vec<Vec<u8>> = [8, 16, 24, 32].map(|bits| wav(2, 8_000, bits, &samples)).into();
    files.extend([wav_of_floats(8_000, &[0.0, 0.5, -0.5]), extensible(24, 24), extensible(32, 24)]);
    let (mut opened, mut rejected) = (0, 0);
    for whole in files {
        assert!(decodes(&whole));
        let header = whole.windows(4).position(|w| w == b"data").unwrap() + 8;
        for _ in 0..4000 {
            let mut bytes = whole.clone();
            match random.random_range(0..4) {
                0 => bytes.truncate(random.random_range(0..bytes.len())),
                // Boundary values in the fields of the header.
                1 => {
                    let at = random.random_range(0..header - 1);
                    let value: u16 = [0, 1, 2, 31, 33, 64, 65, 0x7FFF, 0x8000, u16::MAX][random.random_range(0..10)];
                    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
                }
                2 => {
                    (0..random.random_range(1..6)).for_each(|_| bytes[random.random_range(0..header)] = random.random())
                }
                _ => {
                    let length = bytes.len();
                    (0..random.random_range(1..6))
                        .for_each(|_| bytes[random.random_range(0..length)] = random.random());
                }
            }
            match decodes(&bytes) {
                true => opened += 1,
                false => rejected += 1,
            }
        }
    }
    println!("{opened} open, {rejected} rejected");
    assert!(opened > 500 && rejected > 5000, "{opened} open, {rejected} rejected: too few of one kind");
}

#[test]
fn clipping_and_silence_are_reported() {
    let clipped = Sound::from_bytes(&wav(1, 8_000, 16, &[0, 32_767, 32_767, 32_767, 32_767, 9, -32_768, 7])).unwrap();
    assert_eq!(clipped.clipped(), 4);
    assert!(clipped.mime_bundles()[1].plain().contains("4 samples clipped"));
    assert_eq!(Sound::tone(8_000, 1.0, 1000.0, 1.0).unwrap().clipped(), 0);
    let silent = Sound::from_bytes(&wav(1, 8_000, 16, &[0; 800])).unwrap();
    assert!(silent.mime_bundles()[1].plain().contains("silent"));
    assert!(silent.set_rms(0.1).unwrap_err().to_string().contains("silent"));
}

#[test]
fn resampling_preserves_tones_and_removes_frequencies_above_nyquist() {
    for (from, to) in [(44_100, 20_000), (16_000, 20_000), (48_000, 16_000), (8_000, 20_000), (22_050, 22_000)] {
        let tone = Sound::tone(from, 0.7, 440.0, 0.5).unwrap().resample(to).unwrap();
        assert_eq!(tone.len(), (0.7 * f64::from(to)).round() as usize);
        let expected = Sound::tone(to, 0.7, 440.0, 0.5).unwrap();
        // The filter rings where the tone starts and stops.
        let middle = tone.len() / 10..tone.len() * 9 / 10;
        let off = max_difference(&tone.values()[middle.clone()], &expected.values()[middle]);
        assert!(off < 1e-3, "{from} to {to}: off by {off}");
    }
    let high = Sound::tone(44_100, 0.5, 15_000.0, 0.5).unwrap().resample(20_000).unwrap();
    let middle = Sound::from_samples("", 20_000, high.values()[1000..9000].to_vec()).unwrap();
    assert!(middle.rms() < 1e-4, "15 kHz is aliased at a rate of 20 kHz, with rms {}", middle.rms());
}

#[test]
fn resampling_to_too_many_samples_is_an_error() {
    let sound = Sound::from_samples("", 100, vec![0.0; 20_000]).unwrap();
    let error = sound.resample(768_000).unwrap_err().to_string();
    assert_eq!(
        error, "resample: 100 to 768000 Hz: sound: must have 1 to 134217728 samples, got 153600000",
        "before the samples are allocated"
    );
}

#[test]
fn fix_length_crops_and_pads_symmetrically() {
    let sound = Sound::from_samples("", 8_000, vec![0.1, 0.2, 0.3, 0.4, 0.5]).unwrap();
    assert_eq!(sound.fix_length(3).unwrap().values(), [0.2, 0.3, 0.4]);
    assert_eq!(sound.fix_length(8).unwrap().values(), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.0]);
    for samples in [0, 200_000_000, usize::MAX] {
        let error = sound.fix_length(samples).unwrap_err().to_string();
        assert_eq!(error, format!("sound: must have 1 to 134217728 samples, got {samples}"));
    }
    let error = Stimulus::from(&sound).image().unwrap_err().to_string();
    assert_eq!(error, "stimulus: is a sound, not an image", "the error calls an unnamed sound a stimulus");
    assert_eq!(sound.slice(1.0 / 8_000.0, 1.0).unwrap().values(), [0.2, 0.3, 0.4, 0.5]);
    assert!(sound.slice(1.0, 2.0).is_err());
}

#[test]
fn set_rms_sets_the_level_and_rejects_clipping() {
    let sound = Sound::from_samples("", 8_000, vec![0.3, 0.1, 0.2, 0.2]).unwrap().remove_mean();
    assert!(sound.values().iter().sum::<f32>().abs() < 1e-6);
    assert!((sound.clone().set_rms(0.05).unwrap().rms() - 0.05).abs() < 1e-6);
    assert!(sound.set_rms(0.9).unwrap_err().to_string().contains("would clip"));
    let word = Sound::tone(44_100, 0.6, 500.0, 0.9).unwrap().prepare(20_000, 40_000).unwrap();
    assert_eq!((word.sample_rate(), word.len()), (20_000, 40_000));
    assert!((word.rms() - 0.1).abs() < 1e-5);
}

#[test]
fn noise_is_reproducible_and_has_the_stated_spectrum() {
    let pink = |seed| Sound::noise(20_000, 40_000, Noise::Pink { rms: 0.01 }, seed).unwrap();
    assert_eq!(pink(3), pink(3));
    assert_ne!(pink(3), pink(4));
    assert!((pink(3).rms() - 0.01).abs() < 1e-6);
    let white = Sound::noise(20_000, 40_000, Noise::Normal { mean: 0.0, deviation: 0.05 }, 1).unwrap();
    // The power in adjacent octaves is equal for pink noise and doubles for white noise.
    let power = |sound: &Sound, low: usize, high: usize| -> f64 {
        (low..high)
            .step_by(7)
            .map(|k| {
                let step = std::f64::consts::TAU * k as f64 / 40_000.0;
                let parts = sound.values().iter().enumerate().fold((0.0, 0.0), |(re, im), (i, &v)| {
                    let (sin, cos) = (step * i as f64).sin_cos();
                    (re + f64::from(v) * cos, im + f64::from(v) * sin)
                });
                parts.0 * parts.0 + parts.1 * parts.1
            })
            .sum()
    };
    let ratio = |sound: &Sound| power(sound, 2000, 4000) / power(sound, 1000, 2000);
    assert!((0.8..1.25).contains(&ratio(&pink(3))), "pink {}", ratio(&pink(3)));
    assert!((1.6..2.5).contains(&ratio(&white)), "white {}", ratio(&white));
    assert!(Sound::noise(20_000, 100, Noise::Normal { mean: 0.0, deviation: -1.0 }, 1).is_err());
    assert!(Sound::noise(20_000, 0, Noise::Pink { rms: 0.01 }, 1).is_err());
    assert!(Image::noise(8, 8, Noise::Pink { rms: 0.01 }, 1).unwrap_err().to_string().contains("sounds"));
}

#[test]
fn a_saved_sound_opens_bit_identically() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pink.wav");
    let sound = Sound::noise(20_000, 500, Noise::Pink { rms: 0.1 }, 5).unwrap().with_name("pink");
    sound.save(&path).unwrap();
    assert_eq!(Sound::open(&path).unwrap(), sound);
    assert!(sound.save(folder.path().join("pink.mp3")).unwrap_err().to_string().contains(".wav"));
    let page = folder.path().join("pink.html");
    assert!(sound.save(&page).unwrap_err().to_string().contains("`export`"));
    sound.export(&page).unwrap();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<audio controls") && page.contains("data:image/png;base64,"));
}

#[test]
fn a_player_takes_any_sample_rate() {
    for rate in [0, 1, u32::MAX] {
        let player = metamers::display::Player::new("click", rate, vec![0.0, 0.5]);
        assert!(player.html().contains("data:audio/wav;base64,"), "{rate} Hz");
    }
}
