//! The shipped image networks: classes of photos, stages, and errors for invalid weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use metamers::candle;
use metamers::prelude::*;
use metamers::zoo::efficientnet_lite0_from;
use rand::{RngExt, SeedableRng};

use crate::common::optional;

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

#[test]
fn efficientnet_lite0_classifies_85_percent_of_the_photos_correctly() {
    let net = zoo::efficientnet_lite0().unwrap();
    let text = std::fs::read(assets().join("photos/photos.json")).unwrap();
    let photos: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let (mut correct, mut total, mut wrong) = (0, 0, vec![]);
    for photo in photos.as_array().unwrap() {
        let classes: Vec<u64> = photo["imagenet"].as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).collect();
        if classes.is_empty() {
            continue;
        }
        let file = photo["file"].as_str().unwrap();
        let image = Image::open(assets().join("photos").join(Path::new(file).file_name().unwrap())).unwrap();
        let answer = net.classify(&image, 1).unwrap();
        total += 1;
        if classes.contains(&(answer.top().class as u64)) {
            correct += 1;
        } else {
            wrong.push(format!("{file}: {}", answer.top().name));
        }
    }
    println!("{correct} of {total} correct; wrong: {}", wrong.join("; "));
    assert!(total >= 40);
    assert!(correct * 100 >= total * 85, "only {correct} of {total} are correct; wrong: {}", wrong.join("; "));
}

#[test]
fn at_least_forty_photos_ship() {
    assert!(shipped_photos().unwrap().len() >= 40);
}

#[test]
fn stages_report_shape_receptive_field_units_and_parameters() {
    let net = zoo::efficientnet_lite0().unwrap();
    let stage = |name: &str| net.stage(name).unwrap().clone();
    assert_eq!(stage("stem").shape, [32, 112, 112]);
    assert_eq!(stage("stem").receptive_field.size, Some([3, 3]));
    // Weights and folded biases of the convolution, and the six parameters of the input normalisation.
    assert_eq!(stage("stem").num_parameters, 32 * 27 + 32 + 6);
    assert_eq!(stage("block0").receptive_field.size, Some([7, 7]));
    assert_eq!(stage("block2").units(), 24 * 56 * 56);
    assert_eq!(stage("features").shape, [1280, 7, 7]);
    assert_eq!(stage("avgpool").receptive_field.size, None);
    // 4,652,008 trained parameters, less those of batch normalisation that folding merges.
    assert_eq!(stage("logits").num_parameters, net.num_parameters());
    assert!((4_500_000..4_652_008).contains(&net.num_parameters()));
    let text = net.mime_bundles()[0].data()["text/plain"].clone();
    assert!(text.contains("block10") && text.contains("401,408"), "{text}");
}

#[test]
fn macs_grow_with_depth_and_exclude_bias_additions() {
    let net = zoo::efficientnet_lite0().unwrap();
    let costs: Vec<u64> = net.stages().iter().map(|s| s.macs).collect();
    assert!(costs.is_sorted());
    assert!(costs[0] * 20 < costs[costs.len() - 1]);
    // The last layer multiplies each of 1280 features once for each class; bias additions do not count.
    assert_eq!(costs[costs.len() - 1] - costs[costs.len() - 2], 1280 * 1000);
}

fn weights() -> HashMap<String, Tensor> {
    candle::safetensors::load(assets().join("networks/efficientnet_lite0.safetensors"), &Device::Cpu).unwrap()
}

fn error_with(change: impl FnOnce(&mut HashMap<String, Tensor>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.safetensors");
    let mut tensors = weights();
    change(&mut tensors);
    candle::safetensors::save(&tensors, &path).unwrap();
    efficientnet_lite0_from(&path).unwrap_err().to_string()
}

#[test]
fn errors_for_invalid_weights_name_the_file_and_the_tensor() {
    let name = "_blocks.3._depthwise_conv.weight";
    let missing = error_with(|t| drop(t.remove(name)));
    assert!(missing.contains("changed.safetensors") && missing.contains(name), "{missing}");
    assert!(missing.contains("did you mean _blocks.") && missing.contains("_depthwise_conv.weight,"), "{missing}");
    let shape = error_with(|t| drop(t.insert(name.into(), Tensor::zeros((3, 3), DType::F32, &Device::Cpu).unwrap())));
    assert!(shape.contains(name) && shape.contains("[3, 3]"), "{shape}");
    let nan = error_with(|t| {
        let poisoned = (t[name].clone() * f64::NAN).unwrap();
        t.insert(name.into(), poisoned);
    });
    assert!(nan.contains(name) && nan.contains("not finite"), "{nan}");
    let bytes = error_with(|t| drop(t.insert(name.into(), t[name].to_dtype(DType::U8).unwrap())));
    assert!(bytes.contains("U8"), "{bytes}");
    let variance = error_with(|t| {
        let negative = (t["_bn0.running_var"].clone() * -1.0).unwrap();
        t.insert("_bn0.running_var".into(), negative);
    });
    assert!(variance.contains("negative"), "{variance}");
    // EfficientNet-B0 has tensors of the names and shapes of Lite0, and squeeze-and-excitation.
    let excited = error_with(|t| drop(t.insert("_blocks.2._se_reduce.bias".into(), t["_bn0.bias"].clone())));
    assert!(excited.contains("another architecture than EfficientNet-Lite0"), "{excited}");
    assert!(excited.contains("_blocks.2._se_reduce.bias"), "{excited}");
}

#[test]
fn damaged_weights_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.safetensors");
    let whole = std::fs::read(assets().join("networks/efficientnet_lite0.safetensors")).unwrap();
    let assert_rejected = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = efficientnet_lite0_from(&path).unwrap_err().to_string();
        assert!(error.contains("broken.safetensors"), "{error}");
    };
    assert_rejected(b"");
    assert_rejected(b"not a safetensors file at all");
    assert_rejected(&[0xFF; 64]);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    // The names, types, shapes and offsets of the tensors, between free metadata and blanks.
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let find = |text: &[u8]| whole.windows(text.len()).position(|w| w == text).unwrap();
    let tensors =
        find(b"},\"_conv_stem.weight\"") + 1..header - whole[..header].iter().rev().take_while(|&&b| b == b' ').count();
    assert!(tensors.len() > 20_000);
    for _ in 0..12 {
        assert_rejected(&whole[..random.random_range(0..whole.len())]);
        let mut bytes = whole.clone();
        bytes[random.random_range(0..7)] ^= 0x55;
        assert_rejected(&bytes);
        for _ in 0..4 {
            let mut bytes = whole.clone();
            let at = random.random_range(tensors.clone());
            bytes[at] = bytes[at].wrapping_add(random.random_range(1..=255));
            assert_rejected(&bytes);
        }
    }
    assert!(efficientnet_lite0_from(folder.path().join("none.safetensors")).is_err());
}

#[test]
fn unknown_stages_and_invalid_inputs_are_errors() {
    let net = zoo::efficientnet_lite0().unwrap();
    let error = net.stage("blok5").unwrap_err().to_string();
    assert!(error.starts_with("no stage named \"blok5\"; did you mean block5"), "{error}");
    let x = Tensor::zeros((1, 3, 200, 224), DType::F32, &Device::Cpu).unwrap();
    assert!(net.forward_to("stem", &x).unwrap_err().to_string().contains("[batch, 3, 224, 224]"));
    assert!(net.classify(Image::open("photos/dog.jpg").unwrap(), 0).is_err());
}

#[test]
fn efficientnet_lite1_and_lite2_have_the_published_layout() {
    // The number of blocks in each group, and the shape of their outputs.
    let lite1 = [
        (1, [16, 120, 120]),
        (3, [24, 60, 60]),
        (3, [40, 30, 30]),
        (4, [80, 15, 15]),
        (4, [112, 15, 15]),
        (5, [192, 8, 8]),
        (1, [320, 8, 8]),
    ];
    let lite2 = [
        (1, [16, 130, 130]),
        (3, [24, 65, 65]),
        (3, [48, 33, 33]),
        (4, [88, 17, 17]),
        (4, [120, 17, 17]),
        (5, [208, 9, 9]),
        (1, [352, 9, 9]),
    ];
    // Trained parameters and multiply-adds as in models/official/efficientnet/lite of TensorFlow's repository tpu. Folding merges one of
    // the two parameters of each normalised channel; the input normalisation has six.
    for (net, side, groups, num_parameters, published_macs) in [
        (zoo::efficientnet_lite1_random(0).unwrap(), 240, lite1, 5_416_680 - 26_832 + 6, 631e6),
        (zoo::efficientnet_lite2_random(0).unwrap(), 260, lite2, 6_092_072 - 29_048 + 6, 899e6),
    ] {
        let name = net.name();
        assert_eq!(net.input().shape(), [3, side, side], "{name}");
        let blocks = groups.iter().flat_map(|(count, shape)| std::iter::repeat_n(shape.to_vec(), *count));
        let [_, height, width] = groups[6].1;
        let last = [("features", vec![1280, height, width]), ("avgpool", vec![1280]), ("logits", vec![1000])];
        let expected: Vec<(String, Vec<usize>)> = std::iter::once(("stem".to_owned(), vec![32, side / 2, side / 2]))
            .chain(blocks.enumerate().map(|(index, shape)| (format!("block{index}"), shape)))
            .chain(last.map(|(stage, shape)| (stage.to_owned(), shape)))
            .collect();
        let found: Vec<(String, Vec<usize>)> = net.stages().iter().map(|s| (s.name.clone(), s.shape.clone())).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(net.num_parameters(), num_parameters, "{name}");
        // The published numbers include the normalisation of each channel, which is folded here.
        let macs = net.stages().last().unwrap().macs as f64 / published_macs;
        assert!((0.94..0.97).contains(&macs), "{name}: {macs} of the published multiply-adds");
    }
}

#[test]
fn efficientnet_lite1_and_lite2_classify_85_percent_of_the_photos_correctly() {
    type Load = fn(PathBuf) -> metamers::Result<Network>;
    let judges: [(&str, Load, [usize; 3]); 2] = [
        ("efficientnet_lite1", zoo::efficientnet_lite1_from, [40, 30, 30]),
        ("efficientnet_lite2", zoo::efficientnet_lite2_from, [48, 33, 33]),
    ];
    let photos = shipped_photos().unwrap();
    let named: Vec<_> = photos.iter().filter(|photo| !photo.classes().is_empty()).collect();
    for (name, load, block5) in judges {
        let path = format!("assets/optional/{name}.safetensors");
        let Some(path) = optional(&path, "cargo lab --fetch") else { continue };
        let net = load(path).unwrap();
        assert_eq!(net.stage("block5").unwrap().shape, block5);
        let correct = named.iter().filter(|photo| {
            let top = net.classify(Image::open(photo.path()).unwrap(), 1).unwrap().top().name.clone();
            photo.classes().contains(&top)
        });
        let correct = correct.count();
        println!("{name}: {correct} of {} photos correct", named.len());
        assert!(correct * 100 >= 85 * named.len(), "{name}: {correct} of {}", named.len());
    }
}
