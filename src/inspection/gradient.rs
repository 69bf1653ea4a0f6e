//! Layers whose gradient is a surrogate or undefined.

use crate::hearing::{Cochleagram, LogMel, Rectifier};
use crate::network::{Layer, Network, Node};
use crate::ops::{L2Norm, MaxPool2d, MinMaxNorm, Relu, Standardize};

/// The kind and number of such layers, and the behaviour of the gradient there.
pub(super) fn special_cases(network: &Network) -> Vec<(String, String)> {
    let mut cases: Vec<(&str, usize, String)> = vec![];
    let mut add = |kind: &'static str, what: String| match cases.iter_mut().find(|(k, _, w)| *k == kind && *w == what) {
        Some((_, count, _)) => *count += 1,
        None => cases.push((kind, 1, what)),
    };
    for node in network.nodes() {
        if let Some((kind, what)) = surrogate(&node.layer) {
            add(kind, what);
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

/// The kind of place that a layer is, and its gradient there, where it is a surrogate or not defined.
fn surrogate(layer: &Layer) -> Option<(&'static str, String)> {
    if let Some(relu) = layer.as_op::<Relu>() {
        Some(match relu.max.is_finite() {
            true => {
                ("ReLU with an upper bound", "0 at and beyond the bounds; passed unchanged at the matched stage".into())
            }
            false => ("ReLU", "0 at and below 0; passed unchanged at the matched stage".into()),
        })
    } else if layer.as_op::<MaxPool2d>().is_some() {
        Some(("max pool", "passed to the first of equal maxima".into()))
    } else if let Some(ear) = layer.as_op::<Cochleagram>() {
        let config = ear.config();
        let rectifier = match config.rectifier {
            Rectifier::Identity => "passed unchanged where an envelope is negative",
            Rectifier::Plain => "0 where an envelope is negative",
        };
        let power = format!("that of the power {} clamped to {}", config.power, config.steepest);
        Some(("cochleagram", format!("a surrogate: {power}, {rectifier}")))
    } else if layer.as_op::<LogMel>().is_some() {
        Some(("log-mel energies", "0 for an energy of 0, large for small energies".into()))
    } else if layer.as_op::<MinMaxNorm>().is_some() {
        Some(("min-max normalisation", "undefined if several values share the minimum or maximum".into()))
    } else if layer.as_op::<L2Norm>().is_some() || layer.as_op::<Standardize>().is_some() {
        Some(("normalisation", "undefined for a constant input".into()))
    } else {
        None
    }
}

/// The gradient error of a module, as a share of the change; the outer `None` for other layers.
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
