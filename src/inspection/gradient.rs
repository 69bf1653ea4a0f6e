//! Where the gradient of a network is a surrogate, or not defined.

use crate::hearing::{Cochleagram, LogMel, Rectifier};
use crate::network::{Layer, Network, Node};

/// A kind of place and how often it occurs, and what the gradient does there.
pub(super) fn places(network: &Network) -> Vec<(String, String)> {
    let mut found: Vec<(&str, usize, String)> = vec![];
    let mut add = |kind: &'static str, what: String| match found.iter_mut().find(|(k, _, w)| *k == kind && *w == what) {
        Some((_, count, _)) => *count += 1,
        None => found.push((kind, 1, what)),
    };
    for node in network.nodes() {
        match &node.layer {
            Layer::Relu(clip) if clip.max.is_finite() => {
                add(
                    "rectifier with a ceiling",
                    "0 at its corners and beyond; passed unchanged at the matched stage".into(),
                );
            }
            Layer::Relu(_) => {
                add("rectifier", "0 at its corner and below; passed unchanged at the matched stage".into());
            }
            Layer::MaxPool2d(_) => add("max pool", "goes to the first of equal maxima".into()),
            Layer::Op(_) if let Some(ear) = node.layer.as_op::<Cochleagram>() => {
                let config = ear.config();
                let rectifier = match config.rectifier {
                    Rectifier::Identity => "passed unchanged where an envelope is negative",
                    Rectifier::Plain => "0 where an envelope is negative",
                };
                let power = format!("that of the power {} clamped to {}", config.power, config.steepest);
                add("cochleagram", format!("a surrogate: {power}, {rectifier}"));
            }
            Layer::Op(_) if node.layer.as_op::<LogMel>().is_some() => {
                add("log-mel energies", "0 where an energy is 0, steep where it is small".into())
            }
            Layer::MinMaxNorm(_) => {
                add("stretch to a range", "not defined where several values are the smallest or largest".into())
            }
            Layer::L2Norm(_) | Layer::Standardize(_) => add("normalisation", "not defined for a constant input".into()),
            _ => {}
        }
    }
    let modules: Vec<Option<f64>> = network.nodes().iter().filter_map(module).collect();
    let worst = modules.iter().flatten().copied().reduce(f64::max);
    let measured = worst.map_or("could not be compared, for nothing changed".into(), |off| {
        format!("compared with finite differences when the network was made: off by {} at most", percent(off))
    });
    if !modules.is_empty() {
        found.push(("stage of a module of one's own", modules.len(), format!("candle's, {measured}")));
    }
    let counted = |(kind, count, what): (&str, usize, String)| match count {
        1 => (kind.into(), what),
        _ => (format!("{count} × {kind}"), what),
    };
    found.into_iter().map(counted).collect()
}

/// How far the gradient is off, if the node is a module of one's own.
fn module(node: &Node) -> Option<Option<f64>> {
    match &node.layer {
        Layer::Module(module) => Some(module.gradient_error()),
        _ => None,
    }
}

/// A small share.
pub(super) fn percent(share: f64) -> String {
    match 100.0 * share {
        p if p >= 0.1 => format!("{p:.1} %"),
        p if p >= 0.01 => format!("{p:.2} %"),
        _ => "less than 0.01 %".into(),
    }
}
