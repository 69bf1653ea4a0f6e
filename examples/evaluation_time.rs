//! Measures one gradient evaluation of the shipped network on this machine, by stage: the median of 30.
//!
//! Run: `cargo run --release --example evaluation_time -- stem block5 features`

use metamers::prelude::*;

fn main() -> metamers::Result<()> {
    let mut stages: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if stages.is_empty() {
        stages = ["stem", "block5", "features"].map(String::from).to_vec();
    }
    let net = zoo::efficientnet_lite0()?;
    let photo = Image::open("photos/dog.jpg")?;
    for stage in stages {
        let recipe = Recipe::feather2023();
        let mut run = Synthesis::new(&net, &stage, &photo)?.recipe(recipe).quiet().start()?;
        run.step(5)?;
        let mut times = vec![];
        for _ in 0..30 {
            let started = std::time::Instant::now();
            run.step(1)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!("{stage} {:.3} ms", times[times.len() / 2]);
    }
    Ok(())
}
