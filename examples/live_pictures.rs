//! Measures the cost of live pictures: the time from the start of a synthesis to its end with the live pictures of a notebook, and without,
//! in turn.
//!
//! Run: `METAMERS_LIVE=nonce cargo run --release --example live_pictures -- block2,block5,features 5 > frames`

use std::time::Instant;

use metamers::prelude::*;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let stages = arguments.first().map_or("block2,block5", String::as_str);
    let rounds = arguments.get(1).and_then(|word| word.parse().ok()).unwrap_or(5);
    let net = zoo::efficientnet_lite0()?;
    let photo = Image::open("photos/dog.jpg")?;
    for stage in stages.split(',') {
        let seconds = |quiet: bool| -> Result<f64> {
            let start = Instant::now();
            let plan = Synthesis::new(&net, stage, &photo)?;
            let mut run = if quiet { plan.quiet() } else { plan }.start()?;
            run.run()?;
            Ok(start.elapsed().as_secs_f64())
        };
        // The first of each also loads fonts and compiles the network.
        seconds(true)?;
        seconds(false)?;
        let (mut quiet, mut live) = (vec![], vec![]);
        for _ in 0..rounds {
            quiet.push(seconds(true)?);
            live.push(seconds(false)?);
        }
        let (quiet, live) = (median(quiet), median(live));
        // Standard output holds the frames.
        eprintln!(
            "{stage}: {live:.2} s with pictures, {quiet:.2} s without, {:.1} % more",
            100.0 * (live / quiet - 1.0)
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
