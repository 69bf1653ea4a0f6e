//! Measures tasks in parallel on one thread each, and in sequence on all threads: `cargo bench --bench sweep`.
//!
//! Rounds are interleaved, and the fastest one counts, because other load can only slow a round down.

use std::time::{Duration, Instant};

use metamers::prelude::*;

const ROUNDS: usize = 3;
const EVALUATIONS: usize = 30;

fn main() -> Result<()> {
    let net = zoo::efficientnet_lite0()?;
    let word_net = zoo::cochcnn_words()?;
    let photos = ["dog", "giant_panda", "fig", "hammer"].map(|name| Image::open(format!("photos/{name}.jpg")));
    let words = ["seven", "november", "alpha", "echo"].map(|name| Sound::open(format!("speech/{name}.wav")));
    let photos: Vec<Stimulus> = photos.into_iter().map(|photo| photo.map(Into::into)).collect::<Result<_>>()?;
    let words: Vec<Stimulus> = words.into_iter().map(|word| word.map(Into::into)).collect::<Result<_>>()?;
    println!("{:20} {:>10} {:>14} {:>14} {:>7}", "network", "stage", "in parallel", "in sequence", "ratio");
    for (network, stimuli, stages) in [
        (&net, &photos, &["stem", "block2", "block5", "block10", "features", "logits"][..]),
        (&word_net, &words, &["relu0", "relu3", "final"][..]),
    ] {
        for &stage in stages {
            let sweep = || Sweep::new(network).stages([stage]).evaluations(EVALUATIONS).quiet();
            let (mut parallel, mut sequential) = (Duration::MAX, Duration::MAX);
            for _ in 0..ROUNDS {
                let started = Instant::now();
                sweep().stimuli(stimuli).run()?;
                parallel = parallel.min(started.elapsed());
                let started = Instant::now();
                for stimulus in stimuli {
                    sweep().stimuli([stimulus]).run()?;
                }
                sequential = sequential.min(started.elapsed());
            }
            let ratio = parallel.as_secs_f64() / sequential.as_secs_f64();
            println!("{:20} {stage:>10} {parallel:>14.2?} {sequential:>14.2?} {ratio:>7.2}", network.name());
        }
    }
    Ok(())
}
