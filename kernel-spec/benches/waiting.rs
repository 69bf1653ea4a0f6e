//! Start-up time and cell latency, compared with the stock kernel: `cargo bench -p metamers-kernel --bench waiting`
//!
//! Each round starts a kernel of each kind, loads the library, creates a tensor, and runs 24 ordinary cells: eight `let`, eight
//! `println!` and eight expressions. The stock kernel is `evcxr_jupyter` on the PATH, or the program named by `EVCXR_JUPYTER`; it keeps
//! its build directory from round to round, as with `EVCXR_TMPDIR` set. `-- --rounds 5` runs more rounds; `-- --baseline DIR` also measures
//! the kernel of another checkout that is set up, in the same rounds.

#[path = "../tests/kernel/client.rs"]
mod client;

use client::{Client, home};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Times of one round, in seconds.
struct Round {
    ready: f64,
    tensor: f64,
    second: f64,
    ordinary: Vec<f64>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = arguments.iter().position(|argument| argument == "--rounds").and_then(|at| arguments.get(at + 1));
    let rounds = rounds.and_then(|count| count.parse().ok()).unwrap_or(3);
    let baseline = arguments.iter().position(|argument| argument == "--baseline").and_then(|at| arguments.get(at + 1));
    let baseline = baseline.map(PathBuf::from);
    // Builds the templates.
    Client::start().run("1").ok();
    if let Some(checkout) = &baseline {
        start_baseline(checkout).run("1").ok();
    }
    let stock = stock().inspect(|program| {
        let started = Instant::now();
        load(&mut start_stock(program));
        println!("First start of the stock kernel with the library, without a cache: {:.1?}\n", started.elapsed());
    });
    println!(
        "| kernel | ready, prelude loaded (s) | first tensor (s) | second cell (s) | ordinary cell: median (s) | fastest | slowest |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for _ in 0..rounds {
        print("metamers", &round(Client::start, |_| {}));
        if let Some(checkout) = &baseline {
            print("baseline", &round(|| start_baseline(checkout), |_| {}));
        }
        if let Some(program) = &stock {
            print("evcxr_jupyter", &round(|| start_stock(program), load));
        }
    }
    if stock.is_none() {
        println!(
            "\nevcxr_jupyter is not installed, so it was not measured; install it with `cargo install evcxr_jupyter`."
        );
    }
}

fn stock() -> Option<PathBuf> {
    let named = std::env::var_os("EVCXR_JUPYTER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    named.or_else(|| std::env::split_paths(&path).map(|folder| folder.join("evcxr_jupyter")).find(|file| file.exists()))
}

fn start_baseline(checkout: &Path) -> Client {
    let mut command = Command::new(checkout.join("target/release/metamers-kernel"));
    command.env_remove("LD_LIBRARY_PATH");
    command.arg("--connection").env("METAMERS_HOME", checkout).env("METAMERS_HISTORY", "off");
    Client::spawn_ready(command)
}

fn start_stock(program: &PathBuf) -> Client {
    let dir = home().join("target").join("stock-kernel");
    std::fs::create_dir_all(&dir).unwrap();
    let mut command = Command::new(program);
    // Cargo adds a directory with another build of the library, which a user's shell does not have.
    command.env_remove("LD_LIBRARY_PATH");
    command.arg("--control_file").env("EVCXR_TMPDIR", &dir).env("EVCXR_CONFIG_DIR", dir.join("no-config"));
    Client::spawn_ready(command)
}

/// Loads the library, as our kernel does before it is ready.
fn load(kernel: &mut Client) {
    kernel.run(&format!(":dep metamers = {{ path = {:?} }}\nuse metamers::prelude::*;", home())).ok();
}

fn round(start: impl Fn() -> Client, load: impl Fn(&mut Client)) -> Round {
    let started = Instant::now();
    let mut kernel = start();
    load(&mut kernel);
    let ready = started.elapsed().as_secs_f64();
    let tensor = timed(&mut kernel, "let t = Tensor::ones((2, 2), DType::F32, &Device::Cpu)?;");
    let second = timed(&mut kernel, "let u = (&t + 1.0)?;");
    let mut ordinary = Vec::new();
    for number in 0..8 {
        ordinary.push(timed(&mut kernel, &format!("let v{number} = t.affine({number}.0, 1.0)?;")));
        ordinary.push(timed(&mut kernel, &format!("println!(\"{{}}\", v{number});")));
        ordinary.push(timed(&mut kernel, &format!("v{number}.elem_count()")));
    }
    ordinary.sort_by(f64::total_cmp);
    Round { ready, tensor, second, ordinary }
}

fn timed(kernel: &mut Client, code: &str) -> f64 {
    let started = Instant::now();
    kernel.run(code).ok();
    started.elapsed().as_secs_f64()
}

fn print(name: &str, round: &Round) {
    let Round { ready, tensor, second, ordinary } = round;
    let (fastest, median, slowest) = (ordinary[0], ordinary[ordinary.len() / 2], ordinary[ordinary.len() - 1]);
    println!("| {name} | {ready:.2} | {tensor:.2} | {second:.2} | {median:.2} | {fastest:.2} | {slowest:.2} |");
    // Lets the kernel exit before the next round.
    std::thread::sleep(Duration::from_secs(1));
}
