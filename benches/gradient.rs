//! Measures one gradient evaluation in milliseconds: forward to a stage, the norm of the difference to a target, gradient of the input.
//!
//! `cargo bench --bench gradient [-- PART_OF_A_NAME ...]` prints a table of batches. With `--serve`, for `scripts/compare_torch`: a
//! line on standard input names a network, a stage and a batch; the answer is the time of one evaluation in milliseconds.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use metamers::engine::Compiled;
use metamers::prelude::*;

const CASES: [(&str, &str); 6] = [
    ("efficientnet_lite0", "features"),
    ("alexnet", "conv5"),
    ("vgg16", "conv5_3"),
    ("vgg19", "conv5_4"),
    ("resnet50", "layer4"),
    ("resnet50", "conv1"),
];

/// Batch sizes, and the number of timings of each.
const BATCHES: [usize; 3] = [1, 4, 8];
const ROUNDS: usize = 11;

struct Case {
    compiled: Compiled,
    target: Vec<f32>,
    x: Vec<f32>,
    operations: f64,
}

fn network(name: &str) -> metamers::Result<Network> {
    match name {
        "efficientnet_lite0" => zoo::efficientnet_lite0(),
        "alexnet" => zoo::alexnet_random(0),
        "vgg16" => zoo::vgg16_random(0),
        "vgg19" => zoo::vgg19_random(0),
        "resnet50" => zoo::resnet50_random(0),
        "cochcnn9" => zoo::cochcnn9_random(0),
        "cochresnet50" => zoo::cochresnet50_random(0),
        "resnet101" => zoo::resnet101_random(0),
        _ => Err(metamers::Error::invalid("network", format!("{name} is not in this benchmark"))),
    }
}

impl Case {
    fn new(net: &Network, compiled: &Compiled, stage: &str, batch: usize) -> metamers::Result<Self> {
        let count = batch * net.input().shape().iter().product::<usize>();
        let noise = |step: usize| (0..count).map(|i| (i * step % 1009) as f32 / 1009.0).collect::<Vec<_>>();
        let target = compiled.values(&noise(7919))?;
        // Forward and backward passes; a multiply-add is two operations.
        let operations = 4.0 * batch as f64 * net.stage(stage)?.macs as f64;
        Ok(Self { compiled: compiled.clone(), target, x: noise(104_729), operations })
    }

    fn milliseconds(&self) -> metamers::Result<f64> {
        let started = Instant::now();
        let square = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>();
        let scale = square(&self.target).sqrt();
        self.compiled.evaluate(&self.x, |z, cotangent| {
            cotangent.iter_mut().zip(z).zip(&self.target).for_each(|((g, z), a)| *g = z - a);
            let factor = 1.0 / (scale * square(cotangent).sqrt()).max(f32::MIN_POSITIVE);
            cotangent.iter_mut().for_each(|g| *g *= factor);
        })?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    }
}

fn serve() -> metamers::Result<()> {
    let mut cases: HashMap<String, Case> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap_or_default();
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[name, stage, batch] = fields.as_slice() else { continue };
        if !cases.contains_key(&line) {
            cases.clear();
            let net = network(name)?;
            let case = Case::new(&net, &Compiled::new(&net, stage)?, stage, batch.parse().unwrap_or(1))?;
            case.milliseconds()?;
            cases.insert(line.clone(), case);
        }
        let case = &cases[&line];
        println!("{} {}", case.milliseconds()?, case.operations);
        let _ = std::io::stdout().flush();
    }
    Ok(())
}

fn main() -> metamers::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--serve") {
        return serve();
    }
    println!("| network, up to | batch | median ms | ms per image | relative to batch 1 | GFLOP/s |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, stage) in CASES {
        if !arguments.is_empty() && !arguments.iter().any(|argument| name.contains(argument.as_str())) {
            continue;
        }
        let net = network(name)?;
        let compiled = Compiled::new(&net, stage)?;
        let cases = BATCHES.iter().map(|&batch| Case::new(&net, &compiled, stage, batch));
        let cases = cases.collect::<metamers::Result<Vec<_>>>()?;
        let mut times = BATCHES.map(|_| vec![]);
        // Interleaved, so that other load affects all batch sizes alike.
        for _ in 0..ROUNDS {
            for (case, times) in cases.iter().zip(&mut times) {
                times.push(case.milliseconds()?);
            }
        }
        let mut single = None;
        for ((batch, times), case) in BATCHES.into_iter().zip(&mut times).zip(&cases) {
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            let each = median / batch as f64;
            let relative = each / *single.get_or_insert(each);
            let rate = case.operations / median / 1e6;
            println!("| {name} {stage} | {batch} | {median:.2} | {each:.2} | {relative:.2} | {rate:.0} |");
        }
    }
    Ok(())
}
