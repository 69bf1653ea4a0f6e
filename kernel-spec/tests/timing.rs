//! How long a person waits. Not a test of right and wrong: `cargo test --release -p metamers-kernel --test timing -- --ignored
//! --nocapture` prints the figures.

mod common;

use common::Client;
use std::time::{Duration, Instant};

#[test]
#[ignore = "prints figures; nothing to pass or fail"]
fn figures() {
    for round in 1..=3 {
        let begun = Instant::now();
        let mut kernel = Client::start();
        let answers = begun.elapsed();
        kernel.run("1").ok();
        let ready = begun.elapsed();
        let first = timed(&mut kernel, "let t = Tensor::ones((2, 2), DType::F32, &Device::Cpu)?;");
        let second = timed(&mut kernel, "let u = (&t + 1.0)?;");
        let mut ordinary: Vec<Duration> = Vec::new();
        for number in 0..8 {
            ordinary.push(timed(&mut kernel, &format!("let v{number} = t.affine({number}.0, 1.0)?;")));
            ordinary.push(timed(&mut kernel, &format!("println!(\"{{}}\", v{number});")));
            ordinary.push(timed(&mut kernel, &format!("v{number}.elem_count()")));
        }
        ordinary.sort();
        println!(
            "round {round}: answers after {answers:.2?}, prelude loaded and a first cell run after {ready:.2?}, \
             first tensor {first:.2?}, second {second:.2?}, ordinary cell {:.2?} (fastest {:.2?}, slowest {:.2?})",
            ordinary[ordinary.len() / 2],
            ordinary[0],
            ordinary[ordinary.len() - 1]
        );
    }
}

fn timed(kernel: &mut Client, code: &str) -> Duration {
    let begun = Instant::now();
    kernel.run(code).ok();
    begun.elapsed()
}
