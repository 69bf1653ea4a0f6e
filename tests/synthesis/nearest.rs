//! The recipe `nearest`: the matching stimulus nearest to the start.

use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding, Relu};
use metamers::prelude::*;
use metamers::synthesis::{Optimizer, StopReason};
use rand::{RngExt, SeedableRng};

/// A random convolution with fewer outputs than inputs, with a rectifier or linear.
fn network(linear: bool) -> Network {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(8);
    let values: Vec<f32> = (0..6 * 3 * 9).map(|_| random.random_range(-0.4..0.4)).collect();
    let weight = Tensor::from_vec(values, [6, 3, 3, 3].as_slice(), &Device::Cpu).unwrap();
    let config = Conv2dConfig { stride: [2; 2], padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("one", Input::Image { shape: [3, 20, 16], resize: 20 });
    let mut x = b.conv2d(b.input(), Conv2d::new(&weight, None, config).unwrap()).unwrap();
    if !linear {
        x = b.relu(x, Relu::UNBOUNDED).unwrap();
    }
    b.stage("out", x).unwrap();
    b.finish().unwrap()
}

fn start(linear: bool, recipe: Recipe) -> Run {
    // Far from 0 and 1, so that no pixel reaches the limits.
    let original = Image::noise(16, 20, Noise::Uniform { low: 0.35, high: 0.65 }, 1).unwrap().with_name("target");
    Synthesis::new(&network(linear), "out", original).unwrap().recipe(recipe).seed(3).quiet().start().unwrap()
}

fn rms(a: &[f32], b: &[f32]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

fn bits(run: &Run) -> Vec<u32> {
    run.pixels().iter().map(|x| x.to_bits()).collect()
}

/// The recipe with another signal-to-noise ratio.
fn nearest_at(snr_db: f64) -> Recipe {
    let mut recipe = Recipe::nearest();
    if let Optimizer::Lbfgs(lbfgs) = &mut recipe.optimizer {
        lbfgs.nearest_at = Some(snr_db);
    }
    recipe
}

#[test]
fn of_a_linear_stage_it_is_where_gradient_descent_ends() {
    // Steps along gradients keep the components that the stage does not respond to, so that they end at the nearest match.
    let mut descent = start(true, Recipe::near_start().steps(5_000));
    descent.until(50.0).unwrap();
    let initial = start(true, Recipe::near_start()).pixels().to_vec();
    let distance = rms(descent.pixels(), &initial);
    let mut fast = start(true, Recipe::natural_prior());
    fast.until(50.0).unwrap();
    assert!(rms(fast.pixels(), descent.pixels()) > 0.3 * distance, "the prior must matter here");
    let mut nearest = start(true, Recipe::nearest());
    assert_eq!(nearest.until(50.0).unwrap().stop_reason, StopReason::Matched);
    let found = rms(nearest.best().values(), descent.pixels());
    assert!(found < 0.1 * distance, "{found} apart, {distance} from the start");
    assert!(nearest.snr_db().unwrap() >= 50.0);
}

#[test]
fn a_search_from_the_start_itself_is_not_held_back() {
    // There is no earlier stage: until the match it takes the same steps as without the return.
    let mut without_return = Recipe::nearest();
    if let Optimizer::Lbfgs(lbfgs) = &mut without_return.optimizer {
        (lbfgs.nearest_at, lbfgs.earlier_steps) = (None, 0);
    }
    // More steps than the weight of the return is kept for.
    let (mut nearest, mut free) = (start(false, nearest_at(50.0)), start(false, without_return));
    while free.snr_db().is_none_or(|snr| snr < 50.0) {
        nearest.step(1).unwrap();
        free.step(1).unwrap();
        assert_eq!(bits(&nearest), bits(&free), "step {}", free.steps());
        assert!(free.steps() < 100, "{:?} dB", free.snr_db());
    }
    assert!(free.steps() > 10, "only {} steps", free.steps());
    nearest.step(10).unwrap();
    free.step(10).unwrap();
    assert_ne!(bits(&nearest), bits(&free), "the return has begun");
}

#[test]
fn it_holds_the_match_and_comes_nearer_than_the_other_recipes() {
    let initial = start(false, Recipe::nearest()).pixels().to_vec();
    let distance = |recipe: Recipe| {
        let mut run = start(false, recipe);
        run.until(20.0).unwrap();
        let metamer = run.finish().unwrap();
        assert!(metamer.similarity().snr_db.unwrap() >= 19.99, "{:?}", metamer.similarity());
        rms(metamer.stimulus().values(), &initial)
    };
    let nearest = distance(Recipe::nearest());
    let others = [Recipe::natural_prior(), Recipe::near_start(), Recipe::feather2023().steps(4_000)].map(distance);
    assert!(others.iter().all(|&other| nearest < 0.97 * other), "{nearest} and {others:?}");
}

#[test]
fn all_steps_end_when_it_has_settled() {
    let mut run = start(false, Recipe::nearest());
    let progress = run.run().unwrap();
    assert_eq!((progress.stop_reason, run.steps() < 2_000), (StopReason::Settled, true));
    assert_eq!(run.step(1).unwrap().stop_reason, StopReason::Settled);
    assert_eq!(run.until(20.0).unwrap().stop_reason, StopReason::Matched, "it holds 20 dB");
}

#[test]
fn the_ratio_of_a_stop_is_part_of_the_recipe() {
    let mut run = start(false, Recipe::nearest());
    run.step(1).unwrap();
    run.until(30.0).unwrap();
    let metamer = run.finish().unwrap();
    assert_eq!(metamer.provenance().recipe, nearest_at(30.0));
    let mut again = start(false, nearest_at(30.0));
    again.run().unwrap();
    assert!(bits(&run) == bits(&again), "the recipe must reproduce the run");
    let error = run.until(40.0).unwrap_err().to_string();
    assert!(error.contains("holds 30 dB") && error.contains("start another run"), "{error}");
    assert_eq!(run.until(25.0).unwrap().stop_reason, StopReason::Matched);
    let mut beyond = start(false, Recipe::nearest());
    while beyond.snr_db().is_none_or(|snr_db| snr_db < 12.0) {
        beyond.step(1).unwrap();
    }
    beyond.until(10.0).unwrap();
    assert_eq!(beyond.finish().unwrap().provenance().recipe, Recipe::nearest(), "10 dB was exceeded on the way to 20");
    for snr_db in [f64::INFINITY, f64::NEG_INFINITY] {
        let error = start(false, Recipe::nearest()).until(snr_db).unwrap_err().to_string();
        assert!(error.contains("20.0 is well matched"), "{error}");
        assert!(nearest_at(snr_db).check().is_err());
    }
}

#[test]
fn a_saved_run_continues_bit_identically_while_it_holds_its_match() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("held.run");
    let mut straight = start(false, Recipe::nearest());
    while !straight.snr_db().is_some_and(|snr_db| snr_db >= 20.0) {
        straight.step(1).unwrap();
    }
    straight.step(7).unwrap();
    straight.save(&path).unwrap();
    let mut resumed = Run::resume(&path, &network(false)).unwrap().quiet();
    assert!(straight.best() == resumed.best());
    straight.run().unwrap();
    resumed.run().unwrap();
    assert!(bits(&straight) == bits(&resumed) && straight.best() == resumed.best());
    assert_eq!(straight.history().len(), resumed.history().len());
    straight.save(&path).unwrap();
    let mut over = Run::resume(&path, &network(false)).unwrap().quiet();
    assert_eq!(over.step(1).unwrap().stop_reason, StopReason::Settled);
}

/// The evaluations to 20 dB of the dog at a stage, and after the run has settled; the rms distance of the metamer to its start.
fn of_the_dog(stage: &str, earlier_steps: usize) -> ([usize; 2], f64) {
    let net = zoo::efficientnet_lite0().unwrap();
    let mut recipe = Recipe::nearest();
    if let Optimizer::Lbfgs(lbfgs) = &mut recipe.optimizer {
        lbfgs.earlier_steps = earlier_steps;
    }
    let dog = Image::open("photos/dog.jpg").unwrap();
    let mut run = Synthesis::new(&net, stage, dog).unwrap().recipe(recipe).quiet().start().unwrap();
    let initial = run.pixels().to_vec();
    run.advance(Stop::snr(20.0).or_evaluations(400)).unwrap();
    let metamer = run.finish().unwrap();
    assert!(metamer.similarity().snr_db.unwrap() >= 19.99, "{:?}", metamer.similarity());
    let matched = run.history().iter().position(|point| point.snr_db >= 20.0).unwrap() + 1;
    ([matched, run.evaluations()], rms(metamer.stimulus().values(), &initial))
}

#[test]
fn through_an_earlier_stage_it_is_found_in_fewer_evaluations_and_nearer() {
    let (cold, warm) = (of_the_dog("block5", 0), of_the_dog("block5", 40));
    println!("block5, directly: {cold:?}, through an earlier stage: {warm:?}");
    assert!(2 * warm.0[0] < cold.0[0] && warm.0[1] < cold.0[1] && warm.1 < 1.05 * cold.1, "{cold:?}, {warm:?}");
    let ([matched, _], distance) = of_the_dog("features", 40);
    println!("features, through an earlier stage: 20 dB after {matched}, {distance} from the start");
    assert!(matched < 100 && distance < 0.05, "{matched} evaluations, {distance} from the start");
}
