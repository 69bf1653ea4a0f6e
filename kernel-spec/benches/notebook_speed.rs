//! Speed of a synthesis in a notebook relative to a release build: `cargo bench -p metamers-kernel --bench notebook_speed`
//!
//! Both run the library's example `evaluation_time` in turn: as a cell of a real kernel, and as a release binary with and without the
//! kernel's settings of glibc's allocator. Prints medians and their ratio.

#[path = "../tests/kernel/client.rs"]
mod client;

use client::{Client, home};
use std::collections::BTreeMap;
use std::process::Command;

const ROUNDS: usize = 5;
const SOURCE: &str = include_str!("../../examples/evaluation_time.rs");
const ALLOCATOR: [&str; 2] = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"];

type Times = BTreeMap<String, Vec<f64>>;

fn main() {
    let release = home().join("target/release/examples/evaluation_time");
    let built = Command::new("cargo")
        .args(["build", "--release", "-p", "metamers", "--example", "evaluation_time"])
        .current_dir(home())
        .status();
    assert!(built.is_ok_and(|status| status.success()), "cannot build the example; cargo's errors are above");

    let mut kernel = Client::start();
    kernel.run(&cell()).ok();
    let allocator = kernel.run("for name in [\"MALLOC_TRIM_THRESHOLD_\", \"MALLOC_MMAP_THRESHOLD_\"] { println!(\"{}\", std::env::var(name).unwrap_or_default()); }").ok();
    let allocator: Vec<String> = allocator.text("stdout").lines().map(str::to_owned).collect();

    let (mut notebook, mut tuned, mut plain) = (Times::new(), Times::new(), Times::new());
    for round in 1..=ROUNDS {
        note(&mut notebook, &kernel.run("evaluation_time()?").ok().text("stdout"));
        let mut command = Command::new(&release);
        for (name, value) in ALLOCATOR.iter().zip(&allocator) {
            command.env(name, value);
        }
        note(&mut tuned, &String::from_utf8_lossy(&command.output().unwrap().stdout));
        let mut command = Command::new(&release);
        for name in ALLOCATOR {
            command.env_remove(name);
        }
        note(&mut plain, &String::from_utf8_lossy(&command.output().unwrap().stdout));
        eprintln!("round {round} of {ROUNDS}");
    }
    println!(
        "| stage | notebook (ms) | release (ms) | notebook / release | release, default allocator settings (ms) |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for stage in notebook.keys() {
        let (n, t, p) = (median(&notebook[stage]), median(&tuned[stage]), median(&plain[stage]));
        let ratios: Vec<f64> = notebook[stage].iter().zip(&tuned[stage]).map(|(n, t)| n / t).collect();
        println!("| {stage} | {n:.1} | {t:.1} | {:.3} | {p:.1} |", median(&ratios));
    }
}

/// The example as a cell, with `main` renamed and without command-line arguments.
fn cell() -> String {
    let body = SOURCE.split("\n\n").skip(1).collect::<Vec<_>>().join("\n\n");
    body.replace("fn main", "fn evaluation_time")
        .replace("std::env::args().skip(1)", "Vec::<String>::new().into_iter()")
}

fn note(times: &mut Times, printed: &str) {
    for line in printed.lines() {
        let mut words = line.split_whitespace();
        if let (Some(stage), Some(Ok(time))) = (words.next(), words.next().map(str::parse)) {
            times.entry(stage.to_owned()).or_default().push(time);
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
