//! Two layers at once, a penalty and eigendistortions against plenoptic 2.1.1 itself, in float64
//! (scripts/reference/plenoptic_goals.py).

use crate::common::{flat, json, relative, tensors};
use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding, Relu};
use metamers::prelude::*;
use metamers::synthesis::{Loss, Penalty};

/// The network of scripts/reference/recipes.py, with both of its ReLUs as stages.
fn tiny() -> (Network, Image, Image) {
    let tensors = tensors("recipes.safetensors");
    let conv = |name: &str, stride: usize| {
        let get = |part: &str| &tensors[&format!("{name}.{part}")];
        let config = Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), ..Default::default() };
        Conv2d::new(get("weight"), Some(get("bias")), config).unwrap()
    };
    let mut b = Builder::new("tiny", Input::Image { shape: [3, 12, 10], resize: 12 });
    let x = b.conv2d(b.input(), conv("conv1", 1)).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu1", x).unwrap();
    let x = b.conv2d(x, conv("conv2", 2)).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu2", x).unwrap();
    let image = |name: &str| Image::from_tensor(&tensors[name]).unwrap();
    (b.finish().unwrap(), image("target"), image("start"))
}

/// Takes plenoptic's steps and compares every loss and the final pixels.
fn compare(name: &str, plan: Synthesis) {
    let (facts, tensors) = (json("plenoptic.json"), tensors("plenoptic.safetensors"));
    let (_, _, start) = tiny();
    let losses: Vec<f64> =
        facts["losses"][name].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
    let mut run = plan.quiet().start_from(&start).unwrap().start().unwrap();
    run.step(losses.len()).unwrap();
    for (step, (point, expected)) in run.history().iter().zip(&losses).enumerate() {
        let off = (point.loss - expected).abs() / expected;
        assert!(off < 1e-5, "{name}, step {step}: loss {}, plenoptic {expected}", point.loss);
    }
    let change = |x: &[f32]| x.iter().zip(start.values()).map(|(a, b)| a - b).collect::<Vec<f32>>();
    let off = relative(&change(run.pixels()), &change(&flat(&tensors[&format!("{name}.final")])));
    assert!(off < 1e-4, "{name}: the change of the pixels is off by {off}");
}

#[test]
fn two_layers_take_the_steps_of_plenoptic() {
    let (net, target, _) = tiny();
    let units = ["relu1", "relu2"].map(|stage| net.stage(stage).unwrap().units() as f64);
    // plenoptic averages over the units of both.
    let weights = units.map(|count| count / (units[0] + units[1]));
    let both = Match::stages([("relu1", weights[0]), ("relu2", weights[1])]);
    compare("two_layers", Synthesis::new(&net, both, &target).unwrap().recipe(Recipe::plenoptic()));
}

#[test]
fn a_penalty_takes_the_steps_of_plenoptic() {
    let (net, target, _) = tiny();
    let recipe = Recipe { loss: Loss::MeanSquaredError { range_penalty: 0.0 }, ..Recipe::plenoptic() };
    let plan = Synthesis::new(&net, "relu2", &target).unwrap().recipe(recipe);
    compare("penalty", plan.penalty(Penalty::total_variation(0.5)).unwrap());
}

/// The Jacobian of the activations, row by row, by vector-Jacobian products of candle.
fn jacobian(net: &Network, stage: &str, x: &Tensor) -> Vec<Vec<f32>> {
    let var = Var::from_tensor(x).unwrap();
    let y = net.forward_to(stage, &var).unwrap();
    let unit = |i: usize| {
        let values = (0..y.elem_count()).map(|j| if i == j { 1f32 } else { 0.0 }).collect();
        let cotangent = Tensor::from_vec(values, y.shape(), &Device::Cpu).unwrap();
        flat(&metamers::ops::vjp(&y, &cotangent, &var).unwrap())
    };
    (0..y.elem_count()).map(unit).collect()
}

#[test]
fn eigendistortions_are_those_of_plenoptic_and_of_the_dense_jacobian() {
    let (net, target, _) = tiny();
    let (facts, tensors) = (json("plenoptic.json"), tensors("plenoptic.safetensors"));
    let expected: Vec<f64> = facts["eigenvalues"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let found = net.eigendistortions_with("relu2", &target, 200, 1).unwrap();
    for (found, expected) in found.most().iter().zip(&expected) {
        assert!((found.eigenvalue - expected).abs() < 1e-4 * expected, "{} and {expected}", found.eigenvalue);
    }
    // The stage has fewer units than there are pixels, so that the smallest eigenvalue is 0 and has many eigenvectors.
    let smallest = expected.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(smallest.abs() < 1e-9 && found.least()[0].eigenvalue < 1e-5 * expected[0], "{:?}", found.least()[0]);
    let most = flat(&tensors["most"]);
    let along: f64 = most.iter().zip(&*found.most()[0].direction).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    assert!((along.abs() - 1.0).abs() < 1e-4, "the cosine of the directions is {along}");
    // Against the dense Jacobian: J'J v = eigenvalue v, and the sum of all eigenvalues.
    let rows = jacobian(&net, "relu2", &target.to_tensor().unwrap());
    let product = |v: &[f32]| {
        let mut sum = vec![0.0f64; v.len()];
        for row in &rows {
            let along: f64 = row.iter().zip(v).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            sum.iter_mut().zip(row).for_each(|(sum, &a)| *sum += along * f64::from(a));
        }
        sum
    };
    for distortion in found.most().iter().chain(found.least()) {
        let v = &distortion.direction;
        let rest: f64 =
            product(v).iter().zip(&**v).map(|(p, &v)| (p - distortion.eigenvalue * f64::from(v)).powi(2)).sum();
        assert!(rest.sqrt() < 1e-3 * expected[0], "eigenvalue {}: residual {}", distortion.eigenvalue, rest.sqrt());
    }
    let trace: f64 = rows.iter().flatten().map(|&a| f64::from(a).powi(2)).sum();
    assert!((trace - expected.iter().sum::<f64>()).abs() < 1e-4 * trace);
}

#[test]
fn the_spectrum_counts_directions() {
    let (net, target, _) = tiny();
    let values: Vec<f64> =
        json("plenoptic.json")["eigenvalues"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let largest = values.iter().copied().fold(0.0, f64::max);
    let power = |p: i32| values.iter().map(|v| v.powi(p)).sum::<f64>();
    let effective = power(1).powi(2) / power(2);
    // The quadrature is exact up to the random vector; its mean over 20 has a quarter of the deviation.
    let runs: Vec<_> = (0..20).map(|seed| net.eigendistortions_with("relu2", &target, 60, seed).unwrap()).collect();
    let mean = |f: &dyn Fn(&metamers::synthesis::Eigendistortions) -> f64| runs.iter().map(f).sum::<f64>() / 20.0;
    let found = mean(&|run| run.effective_directions());
    assert!((found - effective).abs() < 0.1 * effective, "{found} directions, expected {effective}");
    let above = values.iter().filter(|v| **v >= 0.1 * largest).count() as f64;
    let found = mean(&|run| run.directions_above(0.1));
    assert!((found - above).abs() < 0.15 * above, "{found} directions above a tenth, expected {above}");
    assert!(runs[0].mime_bundles()[0].png_bytes().is_some());
    let error = net.eigendistortions_with("relu2", &target, 1, 0).unwrap_err().to_string();
    assert!(error.contains("2 to 1000"), "{error}");
}
