//! Activations and pixel gradients of EfficientNet-Lite0, layer by layer and compiled, against PyTorch
//! (scripts/reference/efficientnet_lite0.py).

use crate::common::{flat, json, relative, tensors};
use metamers::engine::Compiled;
use metamers::prelude::*;
use metamers::synthesis::Loss;

/// A weighted sum of all values, for references that hold only a sample of them.
fn projection(values: &[f32]) -> f64 {
    let weight = |i: usize| ((i * 7919) % 1009) as f64 / 1008.0 - 0.5;
    values.iter().enumerate().map(|(i, &v)| f64::from(v) * weight(i)).sum()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

fn photo(photos: &Tensor, index: usize) -> Tensor {
    let scaled = photos.get(index).unwrap().to_dtype(DType::F32).unwrap() / 255.0;
    scaled.unwrap().unsqueeze(0).unwrap()
}

#[test]
fn activations_at_every_stage_equal_pytorch() {
    let net = zoo::efficientnet_lite0().unwrap();
    let (facts, tensors) = (json("efficientnet_lite0.json"), tensors("efficientnet_lite0.safetensors"));
    for index in 0..2 {
        let x = photo(&tensors["photos"], index);
        let facts = &facts["photos"][index];
        let stages: Vec<&str> = net.stages().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(
            stages.len(),
            facts["stages"].as_object().unwrap().len(),
            "the stages differ from those of the reference"
        );
        let plain = stages.iter().zip(net.forward_to_each(&stages, &x).unwrap());
        let compiled = stages.iter().map(|stage| (stage, Compiled::new(&net, stage).unwrap().apply(&x).unwrap()));
        for (stage, activations) in plain.chain(compiled) {
            let facts = &facts["stages"][stage];
            let values = flat(&activations);
            let (stride, count) =
                (facts["stride"].as_u64().unwrap() as usize, facts["count"].as_u64().unwrap() as usize);
            let sample: Vec<f32> = values.iter().step_by(stride).take(count).copied().collect();
            let error = relative(&sample, &flat(&tensors[&format!("photo{index}.{stage}")]));
            assert!(error < 1e-4, "photo {index}, {stage}: off by {error}");
            let size = facts["norm"].as_f64().unwrap();
            assert!((norm(&values) - size).abs() < 1e-4 * size, "photo {index}, {stage}: norm");
            let off = (projection(&values) - facts["projection"].as_f64().unwrap()).abs();
            assert!(off < 1e-4 * size, "photo {index}, {stage}: the projection is off by {off}");
        }
        let top = net.classify_tensor(&x, 5).unwrap();
        for (guess, fact) in top.scores().iter().zip(facts["top5"].as_array().unwrap()) {
            assert_eq!(guess.class as u64, fact["class"].as_u64().unwrap());
            assert!((guess.probability - fact["probability"].as_f64().unwrap()).abs() < 1e-4);
        }
    }
}

#[test]
fn pixel_gradients_equal_pytorch() {
    let net = zoo::efficientnet_lite0().unwrap();
    let (facts, tensors) = (json("efficientnet_lite0.json"), tensors("efficientnet_lite0.safetensors"));
    let original = Image::from_tensor(&photo(&tensors["photos"], 1)).unwrap();
    let start = Image::from_tensor(&photo(&tensors["photos"], 0)).unwrap();
    for (stage, facts) in facts["gradient"].as_object().unwrap() {
        for (kind, loss, identity) in
            [("true", Loss::NormRatio, false), ("identity", Loss::NormRatio, true), ("matching", Loss::Matching, true)]
        {
            let mut recipe = Recipe::feather2023();
            recipe.loss = loss;
            recipe.identity_gradient = identity;
            let plan = Synthesis::new(&net, stage, &original).unwrap().recipe(recipe);
            let plan = plan.start_from(&start).unwrap().quiet();
            let facts = &facts[kind];
            for plan in [plan.clone().layer_by_layer(), plan] {
                let mut run = plan.start().unwrap();
                run.step(1).unwrap();
                // PyTorch's matching objective is not divided by norm2(A)^2.
                let scale = match loss {
                    Loss::Matching => flat(&net.forward_to(stage, &original.to_tensor().unwrap()).unwrap())
                        .iter()
                        .map(|&a| f64::from(a).powi(2))
                        .sum::<f64>(),
                    _ => 1.0,
                };
                let expected = facts["loss"].as_f64().unwrap();
                let loss = run.history()[0].loss * scale;
                assert!((loss - expected).abs() < 1e-5 * expected, "{stage}, {kind}: loss {loss}, expected {expected}");
                let gradient: Vec<f32> = run.gradient_values().iter().map(|&g| (f64::from(g) * scale) as f32).collect();
                let stride = facts["stride"].as_u64().unwrap() as usize;
                let sample: Vec<f32> = gradient.iter().step_by(stride).take(4096).copied().collect();
                let error = relative(&sample, &flat(&tensors[&format!("gradient.{stage}.{kind}")]));
                assert!(error < 1e-4, "{stage}, {kind}: gradient is off by {error}");
                let size = facts["norm"].as_f64().unwrap();
                assert!((norm(&gradient) - size).abs() < 1e-4 * size, "{stage}, {kind}: norm");
                let off = (projection(&gradient) - facts["projection"].as_f64().unwrap()).abs();
                assert!(off < 1e-4 * size, "{stage}, {kind}: the projection is off by {off}");
            }
        }
    }
}
