//! The shipped word networks: activations at every stage against PyTorch (scripts/reference/cochcnn_words.py), and recognised
//! words.

use crate::common::{flat, json, relative, tensors};
use metamers::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The shipped networks, the names of their files, and the numbers of recorded words they recognise (scripts/words/README.md).
fn networks() -> [(Network, &'static str, usize); 3] {
    [
        (zoo::cochcnn_words().unwrap(), "cochcnn_words", 77),
        (zoo::cochcnn_words_hann().unwrap(), "cochcnn_words_hann", 77),
        (zoo::cochcnn_words_untrained().unwrap(), "cochcnn_words_untrained", 0),
    ]
}

fn asset(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(path)
}

fn prepared(file: &str) -> Sound {
    Sound::open(asset(&format!("speech/{file}"))).unwrap().prepare(20_000, 40_000).unwrap()
}

/// The recording centered in 2 s, without its mean, at rms 0.1, not clamped to `[-1, 1]`, as in the reference script.
fn unclamped(file: &str) -> Tensor {
    let sound = Sound::open(asset(&format!("speech/{file}"))).unwrap().fix_length(40_000).unwrap();
    let mean = sound.values().iter().map(|&v| f64::from(v)).sum::<f64>() / 40_000.0;
    let values: Vec<f64> = sound.values().iter().map(|&v| f64::from(v) - mean).collect();
    let rms = (values.iter().map(|v| v * v).sum::<f64>() / 40_000.0).sqrt();
    let values = values.iter().map(|v| (0.1 * v / rms) as f32).collect();
    Tensor::from_vec(values, (1, 40_000), &Device::Cpu).unwrap()
}

fn projection(values: &[f32]) -> f64 {
    let weight = |i: usize| ((i * 7919) % 1009) as f64 / 1008.0 - 0.5;
    values.iter().enumerate().map(|(i, &v)| f64::from(v) * weight(i)).sum()
}

#[test]
fn every_stage_equals_pytorch() {
    let (facts, samples) = (json("cochcnn_words.json"), tensors("cochcnn_words.safetensors"));
    for (net, name, _) in networks() {
        let facts = &facts["networks"][name];
        let bytes = std::fs::read(asset(&format!("networks/{name}.safetensors"))).unwrap();
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(facts["sha256"], sha256, "{name}: the reference was computed with other weights");
        for (clip, file) in ["seven.wav", "foxtrot.wav"].into_iter().enumerate() {
            let x = unclamped(file);
            let facts = &facts["clips"][clip];
            assert_eq!(net.stages().len(), facts["stages"].as_object().unwrap().len());
            for stage in net.stages() {
                let fact = &facts["stages"][&stage.name];
                let values = flat(&net.forward_to(&stage.name, &x).unwrap());
                let count: u64 = fact["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
                assert_eq!(values.len() as u64, count, "{name}, {}", stage.name);
                let [stride, kept] = ["stride", "count"].map(|key| fact[key].as_u64().unwrap() as usize);
                let sample: Vec<f32> = values.iter().step_by(stride).take(kept).copied().collect();
                let key = match stage.name.as_str() {
                    "cochleagram" => format!("clip{clip}.cochleagram"),
                    stage => format!("{name}.clip{clip}.{stage}"),
                };
                let off = relative(&sample, &flat(&samples[&key]));
                assert!(off < 1e-4, "{name}, {file}, {}: off by {off}", stage.name);
                let whole = projection(&values) - fact["projection"].as_f64().unwrap();
                let whole = whole.abs() / fact["norm"].as_f64().unwrap();
                assert!(whole < 1e-4, "{name}, {file}, {}: the projection is off by {whole}", stage.name);
                println!("{name}, {file}, {}: off by {off:.1e}, the projection by {whole:.1e}", stage.name);
            }
            let answers = net.classify_tensor(&x, 5).unwrap();
            for (answer, expected) in answers.scores().iter().zip(facts["top5"].as_array().unwrap()) {
                assert_eq!(expected["name"], answer.name, "{name}, {file}");
                let off = answer.probability - expected["probability"].as_f64().unwrap();
                assert!(off.abs() < 1e-4, "{name}, {file}, {}: {off}", answer.name);
            }
        }
    }
}

#[test]
fn recordings_of_an_unseen_speaker_are_recognized() {
    let text = std::fs::read(asset("speech/speech.json")).unwrap();
    let words: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(words.len(), 79);
    for (net, name, expected) in networks() {
        let mut missed = vec![];
        for word in &words {
            let answer = net.classify(prepared(word["file"].as_str().unwrap()), 1).unwrap();
            if word["word"] != answer.top().name {
                missed.push(format!("{} recognized as {}", word["word"], answer.top().name));
            }
        }
        let correct = words.len() - missed.len();
        println!("{name}: {correct} of {} correct", words.len());
        assert_eq!(correct, expected, "{name}: {}", missed.join("; "));
        if expected > 0 {
            assert!(missed.iter().any(|words| words == "\"ninety\" recognized as yankee"), "{missed:?}");
            assert!(missed.iter().any(|words| words.starts_with("\"goodbye\"")), "{missed:?}");
        }
    }
}
