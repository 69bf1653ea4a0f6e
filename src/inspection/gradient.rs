//! Where the gradient of a network is a surrogate, or not defined.

use crate::hearing::{Cochleagram, LogMel, Rectifier};
use crate::network::{Layer, Network, Node};
use crate::ops::{L2Norm, MaxPool2d, MinMaxNorm, Relu, Standardize};

/// A kind of place and how often it occurs, and what the gradient does there.
pub(super) fn places(network: &Network) -> Vec<(String, String)> {
    let mut found: Vec<(&str, usize, String)> = vec![];
    let mut add = |kind: &'static str, what: String| match found.iter_mut().find(|(k, _, w)| *k == kind && *w == what) {
        Some((_, count, _)) => *count += 1,
        None => found.push((kind, 1, what)),
    };
    for node in network.nodes() {
        if let Some((kind, what)) = surrogate(&node.layer) {
            add(kind, what);
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

/// The kind of place that a layer is, and its gradient there, where it is a surrogate or not defined.
fn surrogate(layer: &Layer) -> Option<(&'static str, String)> {
    if let Some(relu) = layer.as_op::<Relu>() {
        Some(match relu.max.is_finite() {
            true => (
                "rectifier with a ceiling",
                "0 at its corners and beyond; passed unchanged at the matched stage".into(),
            ),
            false => ("rectifier", "0 at its corner and below; passed unchanged at the matched stage".into()),
        })
    } else if layer.as_op::<MaxPool2d>().is_some() {
        Some(("max pool", "goes to the first of equal maxima".into()))
    } else if let Some(ear) = layer.as_op::<Cochleagram>() {
        let config = ear.config();
        let rectifier = match config.rectifier {
            Rectifier::Identity => "passed unchanged where an envelope is negative",
            Rectifier::Plain => "0 where an envelope is negative",
        };
        let power = format!("that of the power {} clamped to {}", config.power, config.steepest);
        Some(("cochleagram", format!("a surrogate: {power}, {rectifier}")))
    } else if layer.as_op::<LogMel>().is_some() {
        Some(("log-mel energies", "0 where an energy is 0, steep where it is small".into()))
    } else if layer.as_op::<MinMaxNorm>().is_some() {
        Some(("stretch to a range", "not defined where several values are the smallest or largest".into()))
    } else if layer.as_op::<L2Norm>().is_some() || layer.as_op::<Standardize>().is_some() {
        Some(("normalisation", "not defined for a constant input".into()))
    } else {
        None
    }
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
