//! Measures one gradient evaluation of the shipped network on this machine, by stage: alone and within each optimizer, in medians.
//!
//! Run: `cargo run --release --example evaluation_time -- stem block5 features`

use std::time::Instant;

use metamers::prelude::*;

/// The median of some measurements, in milliseconds.
fn median(count: usize, mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut times = (0..count).map(|_| measure()).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    Ok(1e3 * times[count / 2])
}

fn main() -> Result<()> {
    let mut stages: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if stages.is_empty() {
        stages = ["stem", "block2", "block5", "block10", "features"].map(String::from).to_vec();
    }
    let net = zoo::efficientnet_lite0()?;
    let photo = Image::open("photos/dog.jpg")?;
    for stage in stages {
        let mut line = stage.clone();
        let mut plain = 0.0;
        for recipe in [Recipe::feather2023(), Recipe::natural_prior(), Recipe::near_start()] {
            let name = recipe.name.clone();
            let mut run = Synthesis::new(&net, &stage, &photo)?.recipe(recipe).quiet().start()?;
            run.step(30)?;
            let time = median(60, || {
                let (started, before) = (Instant::now(), run.evaluations());
                run.step(1)?;
                Ok(started.elapsed().as_secs_f64() / (run.evaluations() - before).max(1) as f64)
            })?;
            line += &format!(", {name} {time:.2} ms");
            plain = if plain == 0.0 { time } else { plain };
            line += &format!(" (the optimizer adds {:.0} %)", 100.0 * (time / plain - 1.0));
        }
        println!("{line}");
    }
    Ok(())
}
