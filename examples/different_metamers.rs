//! Compares metamers that are pushed away from each other with metamers of as many seeds, at one signal-to-noise ratio: the mean rms
//! difference of two.
//!
//! Run: `cargo run --release --example different_metamers -- block5 20`

use metamers::prelude::*;
use metamers::synthesis::mean_pairwise_distance;

const COUNT: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let stage = arguments.first().map_or("block5", String::as_str);
    let snr_db: f64 = arguments.get(1).and_then(|word| word.parse().ok()).unwrap_or(20.0);
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
        let print = |what: String, metamers: &[Metamer]| {
            let lowest = metamers.iter().filter_map(|m| m.similarity().snr_db).fold(f64::INFINITY, f64::min);
            let distance = mean_pairwise_distance(metamers).unwrap_or(f64::NAN);
            println!("{stage}, {}, {what}: mean rms difference {distance:.4}, lowest SNR {lowest:.1} dB", recipe.name);
        };
        print(format!("{COUNT} seeds"), &metamers);
        for weight in [0.03, 0.1] {
            let mut different = plan(0)?.different(COUNT, weight)?;
            let reason = different.until(snr_db)?;
            print(format!("different, weight {weight} ({reason})"), different.metamers());
        }
    }
    Ok(())
}
