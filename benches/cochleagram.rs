//! Measures the cochleagram, forward and with its gradient, interleaved with PyTorch.
//!
//! `cargo bench --bench cochleagram -- PYTHON [THREADS]`, with a Python that has scripts/reference/requirements.txt.

use std::process::Command;
use std::time::Instant;

use metamers::hearing::Cochleagram;
use metamers::ops::{Frozen, vjp};
use metamers::prelude::*;

const INTERLEAVED_ROUNDS: usize = 5;
const ROUNDS: usize = 7;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds of the forward pass, and of the forward pass with the gradient.
fn ours(cochleagram: &Cochleagram, x: &Var, cotangent: &Tensor) -> metamers::Result<[f64; 2]> {
    let mut times = [vec![], vec![]];
    for round in 0..=ROUNDS {
        let started = Instant::now();
        let y = cochleagram.apply(x)?;
        let middle = started.elapsed();
        vjp(&y, cotangent, x)?;
        if round > 0 {
            times[0].push(1e3 * middle.as_secs_f64());
            times[1].push(1e3 * started.elapsed().as_secs_f64());
        }
    }
    Ok(times.map(median))
}

fn pytorch(python: &str, threads: usize) -> Result<[f64; 2], Box<dyn std::error::Error>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/reference/cochleagram_speed.py");
    let output = Command::new(python).args([script, "--threads", &threads.to_string()]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.lines().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let [forward, both] = numbers[..] else { return Err(String::from_utf8_lossy(&output.stderr).into()) };
    Ok([forward, both])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let threads = arguments.get(1).map_or(Ok(2), |word| word.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let cochleagram = Cochleagram::feather2023()?;
    let noise = Sound::noise(20_000, 40_000, Noise::Normal { mean: 0.0, deviation: 0.05 }, 0)?;
    let x = Var::from_tensor(&noise.to_tensor()?)?;
    let cotangent = Tensor::randn(0f32, 1.0, (1, 1, 211, 390), &Device::Cpu)?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..INTERLEAVED_ROUNDS {
        let times_here = ours(&cochleagram, &x, &cotangent)?;
        times[0].push(times_here[0]);
        times[1].push(times_here[1]);
        if let Some(python) = arguments.first() {
            let theirs = pytorch(python, threads)?;
            times[2].push(theirs[0]);
            times[3].push(theirs[1]);
        }
    }
    let [forward, both, their_forward, their_both] = times.map(|t| if t.is_empty() { f64::NAN } else { median(t) });
    println!("| {threads} threads | ours (ms) | PyTorch (ms) | ratio |\n| --- | --- | --- | --- |");
    println!("| forward | {forward:.1} | {their_forward:.1} | {:.3} |", forward / their_forward);
    println!("| forward + gradient | {both:.1} | {their_both:.1} | {:.3} |", both / their_both);
    Ok(())
}
