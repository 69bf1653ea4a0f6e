//! Measures tasks in parallel on one thread each, and in sequence on all threads: `cargo bench --bench sweep`.
//!
//! Rounds are interleaved, and the fastest of each counts, because other load only slows them down.

use std::time::{Duration, Instant};

use metamers::prelude::*;

const TURNS: usize = 3;
const EVALUATIONS: usize = 30;

fn main() -> Result<()> {
    let net = zoo::efficientnet_lite0()?;
    let ear = zoo::cochcnn_words()?;
    let photos = ["dog", "giant_panda", "fig", "hammer"].map(|name| Image::open(format!("photos/{name}.jpg")));
    let words = ["seven", "november", "alpha", "echo"].map(|name| Sound::open(format!("speech/{name}.wav")));
    let photos: Vec<Stimulus> = photos.into_iter().map(|photo| photo.map(Into::into)).collect::<Result<_>>()?;
    let words: Vec<Stimulus> = words.into_iter().map(|word| word.map(Into::into)).collect::<Result<_>>()?;
    println!("{:20} {:>10} {:>14} {:>14} {:>7}", "network", "stage", "side by side", "one by one", "ratio");
    for (network, stimuli, stages) in [
        (&net, &photos, &["stem", "block2", "block5", "block10", "features", "logits"][..]),
        (&ear, &words, &["relu0", "relu3", "final"][..]),
    ] {
        for &stage in stages {
            let sweep = || Sweep::new(network).stages([stage]).evaluations(EVALUATIONS).quiet();
            let (mut together, mut alone) = (Duration::MAX, Duration::MAX);
            for _ in 0..TURNS {
                let begun = Instant::now();
                sweep().stimuli(stimuli).run()?;
                together = together.min(begun.elapsed());
                let begun = Instant::now();
                for stimulus in stimuli {
                    sweep().stimuli([stimulus]).run()?;
                }
                alone = alone.min(begun.elapsed());
            }
            let ratio = together.as_secs_f64() / alone.as_secs_f64();
            println!("{:20} {stage:>10} {together:>14.2?} {alone:>14.2?} {ratio:>7.2}", network.name());
        }
    }
    Ok(())
}
