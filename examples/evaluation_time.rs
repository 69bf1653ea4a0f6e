//! Measures one gradient evaluation of the shipped networks on this machine, by stage: alone and within each optimizer, in medians.
//!
//! Run: `cargo run --release --example evaluation_time -- stem block5 features relu2`
//!
//! `relu0` to `relu3` are stages of the word network, the others those of EfficientNet-Lite0. The optimizers take turns.

use std::time::Instant;

use metamers::prelude::*;

/// Rounds, and the number of steps of each optimizer in a round.
const ROUNDS: usize = 7;
const STEPS: usize = 6;

/// The mean time of an evaluation in some steps, in milliseconds.
fn evaluation_time(run: &mut Run) -> Result<f64> {
    let (started, before) = (Instant::now(), run.evaluations());
    run.step(STEPS)?;
    match run.evaluations() - before {
        0 => Err(Error::invalid("run", "has ended before the measurement")),
        count => Ok(1e3 * started.elapsed().as_secs_f64() / count as f64),
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<()> {
    let mut stages: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if stages.is_empty() {
        stages = ["stem", "block2", "block5", "block10", "features", "relu2"].map(String::from).to_vec();
    }
    let (photo, word) = (Image::open("photos/dog.jpg")?, Sound::open("speech/seven.wav")?);
    for stage in stages {
        let is_sound = stage.starts_with("relu");
        let net = if is_sound { zoo::cochcnn_words()? } else { zoo::efficientnet_lite0()? };
        let recipes = if is_sound {
            vec![Recipe::feather2023_sound(), Recipe::natural_prior_sound(), Recipe::nearest_sound()]
        } else {
            vec![Recipe::feather2023(), Recipe::near_start(), Recipe::natural_prior(), Recipe::nearest()]
        };
        let names: Vec<String> = recipes.iter().map(|recipe| recipe.name.clone()).collect();
        let start = |recipe: Recipe| {
            let synthesis = match is_sound {
                true => Synthesis::new(&net, &stage, &word)?,
                false => Synthesis::new(&net, &stage, &photo)?,
            };
            let mut run = synthesis.recipe(recipe).quiet().start()?;
            // Until all vectors of the memory are in use.
            run.step(30)?;
            Ok(run)
        };
        let mut runs = recipes.into_iter().map(start).collect::<Result<Vec<Run>>>()?;
        let mut times = vec![vec![]; runs.len()];
        for _ in 0..ROUNDS {
            for (run, times) in runs.iter_mut().zip(&mut times) {
                times.push(evaluation_time(run)?);
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        let of_recipe = names.iter().zip(&medians).map(|(name, time)| {
            format!("{name} {time:.2} ms (the optimizer adds {:.0} %)", 100.0 * (time / medians[0] - 1.0))
        });
        println!("{stage}: {}", of_recipe.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
