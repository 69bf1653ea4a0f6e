//! Compares metamers that are pushed away from each other with metamers of as many seeds, at one signal-to-noise ratio: the mean rms
//! difference of two. With another network and one of its stages, also the correlation distance there, and metamers pushed apart in it.
//!
//! Run: `cargo run --release --example different_metamers -- block5 20`, and
//! `cargo run --release --example different_metamers -- block5 20 alexnet:assets/optional/alexnet.safetensors conv5`

use metamers::prelude::*;
use metamers::synthesis::{correlation_distance_of_pairs, mean_pairwise_distance};

const COUNT: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let stage = arguments.first().map_or("block5", String::as_str);
    let snr_db: f64 = arguments.get(1).and_then(|word| word.parse().ok()).unwrap_or(20.0);
    let other = match (arguments.get(2), arguments.get(3)) {
        (Some(name), Some(stage)) => Some((zoo::by_name(name)?, stage.as_str())),
        _ => None,
    };
    let net = zoo::efficientnet_lite0()?;
    let photo = Image::open("photos/dog.jpg")?;
    for recipe in [Recipe::natural_prior(), Recipe::near_start()] {
        let plan = |seed: u64| -> Result<Synthesis> {
            Ok(Synthesis::new(&net, stage, &photo)?.recipe(recipe.clone()).seed(seed).quiet())
        };
        let mut metamers = vec![];
        for seed in 0..COUNT as u64 {
            let mut run = plan(seed)?.start()?;
            run.until(snr_db)?;
            metamers.push(run.finish()?);
        }
        let print = |what: String, metamers: &[Metamer]| -> Result<()> {
            let lowest = metamers.iter().filter_map(|m| m.similarity().snr_db).fold(f64::INFINITY, f64::min);
            let distance = mean_pairwise_distance(metamers).unwrap_or(f64::NAN);
            let apart = match &other {
                Some((other, at)) => {
                    let distance = correlation_distance_of_pairs(metamers, other, *at)?.unwrap_or(f64::NAN);
                    format!(", correlation distance at {at} of {} {distance:.3}", other.name())
                }
                None => String::new(),
            };
            println!(
                "{stage}, {}, {what}: mean rms difference {distance:.4}{apart}, lowest SNR {lowest:.1} dB",
                recipe.name
            );
            Ok(())
        };
        print(format!("{COUNT} seeds"), &metamers)?;
        for weight in [0.03, 0.1] {
            let mut different = plan(0)?.different(COUNT, weight)?;
            let reason = different.until(snr_db)?;
            print(format!("different, weight {weight} ({reason})"), different.metamers())?;
        }
        if let Some((other, at)) = &other {
            for weight in [0.03, 0.1] {
                let mut different = plan(0)?.different(COUNT, weight)?.apart_in(other, *at)?;
                let reason = different.until(snr_db)?;
                print(format!("apart at {at} of {}, weight {weight} ({reason})", other.name()), different.metamers())?;
            }
        }
    }
    Ok(())
}
