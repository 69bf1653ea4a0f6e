//! The steps of the recipe presets against PyTorch in float64 (scripts/reference/recipes.py).

use crate::common::{flat, json, relative, tensors};
use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding, Relu};
use metamers::prelude::*;

fn tiny(tensors: &std::collections::HashMap<String, Tensor>) -> Network {
    let conv = |name: &str, stride: usize| {
        let get = |part: &str| &tensors[&format!("{name}.{part}")];
        let config = Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), ..Default::default() };
        Conv2d::new(get("weight"), Some(get("bias")), config).unwrap()
    };
    let mut b = Builder::new("tiny", Input::Image { shape: [3, 12, 10], resize: 12 });
    let x = b.conv2d(b.input(), conv("conv1", 1)).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    let x = b.conv2d(x, conv("conv2", 2)).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu2", x).unwrap();
    b.finish().unwrap()
}

#[test]
fn presets_take_the_same_steps_as_pytorch() {
    let (facts, tensors) = (json("recipes.json"), tensors("recipes.safetensors"));
    let net = tiny(&tensors);
    let target = Image::from_tensor(&tensors["target"]).unwrap();
    let start = Image::from_tensor(&tensors["start"]).unwrap();
    let activations = flat(&net.forward_to("relu2", &target.to_tensor().unwrap()).unwrap());
    assert!(relative(&activations, &flat(&tensors["target_activations"])) < 1e-6);
    for name in ["feather2019", "feather2023", "plenoptic"] {
        let recipe = Recipe::by_name(name).unwrap().steps(24);
        let plan = Synthesis::new(&net, "relu2", &target).unwrap().recipe(recipe).quiet();
        let mut run = plan.start_from(&start).unwrap().start().unwrap();
        let facts = &facts["recipes"][name];
        let path = tensors[&format!("{name}.x")].clone();
        for (step, loss) in facts["losses"].as_array().unwrap().iter().enumerate() {
            let x = flat(&path.get(step).unwrap());
            let off = relative(run.pixels(), &x);
            assert!(off < 1e-5, "{name}, before step {step}: pixels are off by {off}");
            run.step(1).unwrap();
            let (got, expected) = (run.history()[step].loss, loss.as_f64().unwrap());
            assert!((got - expected).abs() < 1e-5 * expected, "{name}, step {step}: loss {got}, expected {expected}");
        }
        let change: Vec<f32> = run.pixels().iter().zip(flat(&tensors["start"])).map(|(a, b)| a - b).collect();
        let expected: Vec<f32> =
            flat(&tensors[&format!("{name}.final")]).iter().zip(flat(&tensors["start"])).map(|(a, b)| a - b).collect();
        let off = relative(&change, &expected);
        assert!(off < 1e-4, "{name}: the change of the pixels is off by {off}");
    }
}

#[test]
fn plenoptic_stops_within_two_steps_of_pytorch() {
    let (facts, tensors) = (json("recipes.json"), tensors("recipes.safetensors"));
    let net = tiny(&tensors);
    let image = |name: &str| Image::from_tensor(&tensors[name]).unwrap();
    let plan = Synthesis::new(&net, "relu2", image("target")).unwrap().recipe(Recipe::plenoptic().steps(1000)).quiet();
    let mut run = plan.start_from(image("start")).unwrap().start().unwrap();
    let progress = run.run().unwrap();
    assert_eq!(progress.stop_reason, metamers::synthesis::StopReason::Plateau);
    let expected = facts["recipes"]["plenoptic"]["stops_after"].as_u64().unwrap();
    assert!(progress.steps.abs_diff(expected as usize) <= 2, "stopped after {}, expected {expected}", progress.steps);
}
