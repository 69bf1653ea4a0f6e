//! Layers whose gradient is a surrogate or undefined.

use crate::hearing::Rectifier;
use crate::network::{Layer, Network, Node};

/// The kind and number of such layers, and the behaviour of the gradient there.
pub(super) fn special_cases(network: &Network) -> Vec<(String, String)> {
    let mut cases: Vec<(&str, usize, String)> = vec![];
    let mut add = |kind: &'static str, what: String| match cases.iter_mut().find(|(k, _, w)| *k == kind && *w == what) {
        Some((_, count, _)) => *count += 1,
        None => cases.push((kind, 1, what)),
    };
    for node in network.nodes() {
        match &node.layer {
            Layer::Relu(relu) if relu.max.is_finite() => {
                add(
                    "ReLU with an upper bound",
                    "0 at and beyond the bounds; passed unchanged at the matched stage".into(),
                );
            }
            Layer::Relu(_) => {
                add("ReLU", "0 at and below 0; passed unchanged at the matched stage".into());
            }
            Layer::MaxPool2d(_) => add("max pool", "passed to the first of equal maxima".into()),
            Layer::Cochleagram(ear) => {
                let config = ear.config();
                let rectifier = match config.rectifier {
                    Rectifier::Identity => "passed unchanged where an envelope is negative",
                    Rectifier::Plain => "0 where an envelope is negative",
                };
                let power = format!("that of the power {} clamped to {}", config.power, config.steepest);
                add("cochleagram", format!("a surrogate: {power}, {rectifier}"));
            }
            Layer::LogMel(_) => add("log-mel energies", "0 for an energy of 0, large for small energies".into()),
            Layer::MinMaxNorm(_) => {
                add("min-max normalisation", "undefined if several values share the minimum or maximum".into())
            }
            Layer::L2Norm(_) | Layer::Standardize(_) => add("normalisation", "undefined for a constant input".into()),
            _ => {}
        }
    }
    let modules: Vec<Option<f64>> = network.nodes().iter().filter_map(module).collect();
    let worst = modules.iter().flatten().copied().reduce(f64::max);
    let measured =
        worst.map_or("not compared with finite differences, because the outputs did not change".into(), |off| {
            format!("relative error of at most {} against finite differences when the network was built", percent(off))
        });
    if !modules.is_empty() {
        cases.push(("stage of a custom module", modules.len(), format!("candle's, {measured}")));
    }
    let counted = |(kind, count, what): (&str, usize, String)| match count {
        1 => (kind.into(), what),
        _ => (format!("{count} × {kind}"), what),
    };
    cases.into_iter().map(counted).collect()
}

/// The gradient error of a custom module; the outer `None` for other layers.
fn module(node: &Node) -> Option<Option<f64>> {
    match &node.layer {
        Layer::Module(module) => Some(module.gradient_error()),
        _ => None,
    }
}

/// Formats a small fraction as a percentage.
pub(super) fn percent(fraction: f64) -> String {
    match 100.0 * fraction {
        p if p >= 0.1 => format!("{p:.1} %"),
        p if p >= 0.01 => format!("{p:.2} %"),
        _ => "less than 0.01 %".into(),
    }
}
