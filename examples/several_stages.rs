//! Measures a gradient evaluation for two stages at once, as a ratio to that of the later one alone; the two alternate, in medians.
//!
//! Run: `cargo run --release --example several_stages`

use std::time::Instant;

use metamers::prelude::*;

/// Evaluations of each.
const EVALUATIONS: usize = 60;

fn main() -> Result<()> {
    let net = zoo::efficientnet_lite0()?;
    let photo = Image::open("photos/dog.jpg")?;
    for (early, late) in [("stem", "block5"), ("block2", "block5"), ("block2", "block10"), ("block5", "features")] {
        let run = |matched: Match| -> Result<Run> {
            let plan = Synthesis::new(&net, matched, &photo)?.recipe(Recipe::feather2023()).quiet();
            let mut run = plan.start()?;
            run.step(10)?;
            Ok(run)
        };
        let mut runs = [run(late.into())?, run(Match::stages([(early, 1.0), (late, 1.0)]))?];
        let mut times = [vec![], vec![]];
        for _ in 0..EVALUATIONS {
            for (run, times) in runs.iter_mut().zip(&mut times) {
                let started = Instant::now();
                run.step(1)?;
                times.push(1e3 * started.elapsed().as_secs_f64());
            }
        }
        let [one, two] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[EVALUATIONS / 2]
        });
        println!("{early} + {late}: {two:.1} ms, {late} alone {one:.1} ms, ratio {:.2}", two / one);
    }
    Ok(())
}
