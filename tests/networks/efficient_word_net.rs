//! EfficientWord-Net against float64 and against its package (scripts/reference/efficient_word_net.py), and recognition of
//! recorded words from synthetic references.

use std::process::Command;

use crate::common::{assert_agrees, flat, json, optional, seeded_file, skip, tensors, waveforms};
use metamers::engine::Compiled;
use metamers::ops::vjp;
use metamers::prelude::{networks::*, *};

const WEIGHTS: &str = "assets/optional/efficient_word_net.safetensors";
const FETCH: &str = "cargo lab --fetch";

/// The voices of espeak-ng for the reference words.
const VOICES: [&str; 3] = ["en-us+f2", "en-us+f3", "en-us+m3"];

/// Compares every stage and two gradients, layer by layer and compiled, with the reference `kind`.
fn compare(kind: &str, net: &Network) {
    let (facts, samples) = (json("efficient_word_net.json"), tensors("efficient_word_net.safetensors"));
    let mut worst = [0f64; 2];
    for (sound, wave) in waveforms() {
        for stage in net.stages() {
            let x = Var::from_slice(&wave, (1, 24_000), &Device::Cpu).unwrap();
            let plain = net.forward_to(&stage.name, &x).unwrap();
            let compiled = Compiled::new(net, &stage.name).unwrap().apply(&x).unwrap();
            for (how, y) in [("plain", plain), ("compiled", compiled)] {
                let key = format!("{kind}.{sound}.{}", stage.name);
                let off = assert_agrees(&format!("{key}, {how}"), &flat(&y), &facts[&key], &samples[&key], 1e-4);
                worst[0] = worst[0].max(off);
                let key = format!("{key}.gradient");
                let Some(expected) = samples.get(&key) else { continue };
                let cotangent =
                    (0..y.elem_count()).map(|i| (((i * 7919) % 1009) as f64 / 1008.0 - 0.5) as f32).collect();
                let cotangent = Tensor::from_vec(cotangent, y.shape(), &Device::Cpu).unwrap();
                let gradient = flat(&vjp(&y, &cotangent, &x).unwrap());
                let off = assert_agrees(&format!("{key}, {how}"), &gradient, &facts[&key], expected, 1e-3);
                worst[1] = worst[1].max(off);
            }
        }
    }
    println!("{kind}: activations off by at most {:.1e}, gradients by {:.1e}", worst[0], worst[1]);
}

#[test]
fn a_narrow_network_equals_the_float64_reference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narrow.safetensors");
    let mut convolutions = vec![("conv1".to_owned(), vec![5, 1, 7, 7])];
    let mut inputs = 5;
    for (group, (count, narrow, wide)) in [(3, 5, 12), (4, 6, 14), (6, 7, 16), (3, 9, 20)].into_iter().enumerate() {
        for index in 0..count {
            let name = |part: &str| format!("layer{}.{index}.{part}", group + 1);
            convolutions.push((name("conv1"), vec![narrow, inputs, 1, 1]));
            convolutions.push((name("conv2"), vec![narrow, narrow, 3, 3]));
            convolutions.push((name("conv3"), vec![wide, narrow, 1, 1]));
            if index == 0 {
                convolutions.push((name("downsample.0"), vec![wide, inputs, 1, 1]));
            }
            inputs = wide;
        }
    }
    let both = |(name, shape): (String, Vec<usize>)| {
        [(format!("{name}.bias"), vec![shape[0]]), (format!("{name}.weight"), shape)]
    };
    let norms = [("inp_batch_norm", 1), ("bn_final", 20)].into_iter().flat_map(|(name, channels)| {
        ["weight", "bias", "running_mean", "running_var"].map(|part| (format!("{name}.{part}"), vec![channels]))
    });
    seeded_file(&path, convolutions.into_iter().flat_map(both).chain(norms));
    let net = zoo::efficient_word_net_from(&path).unwrap();
    assert_eq!(net.stage("embedding").unwrap().shape, [20]);
    compare("narrow", &net);
}

#[test]
fn the_published_weights_give_the_packages_activations() {
    let Some(path) = optional(WEIGHTS, FETCH) else { return };
    let net = zoo::efficient_word_net_from(path).unwrap();
    let shapes: Vec<(&str, Vec<usize>)> = net.stages().iter().map(|s| (s.name.as_str(), s.shape.clone())).collect();
    let expected = [
        ("logmel", vec![1, 149, 64]),
        ("conv1", vec![61, 75, 32]),
        ("layer1", vec![256, 38, 16]),
        ("layer2", vec![512, 19, 8]),
        ("layer3", vec![1024, 10, 4]),
        ("layer4", vec![2048, 5, 2]),
        ("avgpool", vec![2048]),
        ("embedding", vec![2048]),
    ];
    assert_eq!(shapes, expected);
    compare("package", &net);
}

/// A word from espeak-ng, without leading and trailing silence; `None` if espeak-ng is not installed.
fn synthesized(word: &str, voice: &str) -> Option<Sound> {
    let text = if word == "xray" { "x-ray" } else { word };
    let bytes = Command::new("espeak-ng").args(["-v", voice, "--stdout", text]).output().ok()?.stdout;
    // The header of a streamed WAV file has no length; the samples follow its 44 bytes.
    let rate = u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?);
    let samples = bytes[44..].chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0);
    let sound = Sound::from_samples(word, rate, samples.collect()).ok()?;
    let loud = |v: &f32| v.abs() > 0.01 * sound.peak();
    let at = |i: usize| i as f64 / f64::from(rate);
    let (first, last) = (sound.values().iter().position(loud)?, sound.values().iter().rposition(loud)?);
    sound.slice(at(first) - 0.05, at(last) + 0.05).ok()
}

#[test]
fn recorded_words_are_recognized_by_their_nearest_synthetic_neighbor() {
    let Some(path) = optional(WEIGHTS, FETCH) else { return };
    if synthesized("seven", VOICES[0]).is_none() {
        return skip("espeak-ng, which synthesizes the references, is not installed");
    }
    let net = zoo::efficient_word_net_from(path).unwrap();
    let mut words = NearestNeighbor::new(&net, "embedding").unwrap();
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech");
    let text = std::fs::read(assets.join("speech.json")).unwrap();
    let recordings: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let mut names: Vec<&str> = recordings.iter().map(|r| r["word"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        VOICES.iter().for_each(|voice| words.add(*name, synthesized(name, voice).unwrap()).unwrap());
    }
    assert_eq!(words.examples(), 3 * 78);
    let (mut first, mut among_five, mut missed) = (0, 0, vec![]);
    for recording in &recordings {
        let word = recording["word"].as_str().unwrap();
        let sound = Sound::open(assets.join(recording["file"].as_str().unwrap())).unwrap();
        let answer = words.query(sound, 5).unwrap();
        first += usize::from(answer.top().name == word);
        among_five += usize::from(answer.all().iter().any(|m| m.name == word));
        if answer.top().name != word {
            missed.push(format!("{word} recognized as {}", answer.top().name));
        }
    }
    println!("{first} of {} correct, {among_five} in the top five; {}", recordings.len(), missed.join("; "));
    assert!(first >= 70, "only {first} of {} correct: {}", recordings.len(), missed.join("; "));
}
