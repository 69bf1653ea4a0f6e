//! Makes metamers of EfficientNet-Lite0 on request and prints the time to a signal-to-noise ratio of 15 and of 20 dB, and to the end.
//!
//! Each line on the standard input is a request: stage, photo, seed, recipe, and the most seconds that it may take. The answer is a
//! line of numbers: seconds to 15 dB, to 20 dB and to the end (-1 if that was not reached), the evaluations of each, and the final ratio.
//! `prepare PHOTO FILE` saves the picture that the network sees. Times begin before `Synthesis::start`. `scripts/compare_plenoptic.py`
//! compares them with other programs.
//!
//! Run: `echo "block5 photos/dog.jpg 0 nearest 30" | cargo run --release --example seconds_to_match`

use std::io::BufRead;
use std::time::Instant;

use metamers::prelude::*;

const RATIOS: [f64; 2] = [15.0, 20.0];

fn main() -> Result<()> {
    let net = zoo::efficientnet_lite0()?;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Error::invalid("standard input", e.to_string()))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["prepare", photo, file] = words[..] {
            net.prepare(&Image::open(photo)?)?.image()?.save(file)?;
            println!("{file}");
            continue;
        }
        let [stage, photo, seed, recipe, seconds] = words[..] else {
            let reason = format!("needs stage, photo, seed, recipe and seconds, got \"{line}\"");
            return Err(Error::invalid("request", reason));
        };
        let seed = seed.parse().map_err(|_| Error::invalid("seed", "must be a whole number"))?;
        let limit = seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let limit = limit.ok_or_else(|| Error::invalid("seconds", "must be a number that is not negative"))?;
        let (photo, recipe) = (Image::open(photo)?, Recipe::by_name(recipe)?);
        let started = Instant::now();
        let mut run = Synthesis::new(&net, stage, &photo)?.recipe(recipe).seed(seed).quiet().start()?;
        let before = started.elapsed().as_secs_f64();
        let progress = run.run_for(limit)?;
        let total = started.elapsed().as_secs_f64();
        let history = run.history();
        let mut times = vec![];
        let mut evaluations = vec![];
        for ratio in RATIOS {
            let point = history.iter().find(|point| point.snr_db >= ratio);
            times.push(point.map_or(-1.0, |point| before + point.seconds));
            evaluations.push(point.map_or(-1, |point| point.evaluation as i64));
        }
        let ends = progress.stop_reason != StopReason::Time;
        times.push(if ends { total } else { -1.0 });
        evaluations.push(if ends { run.evaluations() as i64 } else { -1 });
        let [t15, t20, end] = times[..] else { unreachable!("two ratios and the end") };
        let [e15, e20, all] = evaluations[..] else { unreachable!("two ratios and the end") };
        println!("{t15:.3} {t20:.3} {end:.3} {e15} {e20} {all} {:.2}", run.snr_db().unwrap_or(f64::NAN));
    }
    Ok(())
}
