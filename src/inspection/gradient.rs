//! Layers whose gradient is a surrogate or undefined.

use crate::hearing::{Cochleagram, LogMel, Rectifier};
use crate::network::{Layer, Network, Node};
use crate::ops::{L2Norm, MaxPool2d, MinMaxNorm, Relu, Standardize, StraightThroughRelu};

/// Lists the layers whose gradient is a surrogate or undefined: the kind and number of layers, and the behavior of the gradient.
pub(super) fn special_cases(network: &Network) -> Vec<(String, String)> {
    let mut cases: Vec<(&str, usize, String)> = vec![];
    let mut add =
        |kind: &'static str, behavior: String| match cases.iter_mut().find(|(k, _, b)| *k == kind && *b == behavior) {
            Some((_, count, _)) => *count += 1,
            None => cases.push((kind, 1, behavior)),
        };
    for node in network.nodes() {
        if let Some((kind, behavior)) = surrogate(&node.layer) {
            add(kind, behavior);
        }
    }
    let modules: Vec<Option<f64>> = network.nodes().iter().filter_map(module_gradient_error).collect();
    let worst = modules.iter().flatten().copied().max_by(f64::total_cmp);
    let measured =
        worst.map_or("not compared with finite differences, because the outputs did not change".into(), |error| {
            format!(
                "relative error of at most {} against finite differences when the network was built",
                percent(error)
            )
        });
    if !modules.is_empty() {
        cases.push(("stage of a custom module", modules.len(), format!("candle's, {measured}")));
    }
    let counted = |(kind, count, behavior): (&str, usize, String)| match count {
        1 => (kind.into(), behavior),
        _ => (format!("{count} × {kind}"), behavior),
    };
    cases.into_iter().map(counted).collect()
}

/// Returns the kind of a layer and the behavior of its gradient; `None` if the gradient is exact and defined everywhere.
fn surrogate(layer: &Layer) -> Option<(&'static str, String)> {
    if let Some(relu) = layer.as_op::<Relu>() {
        Some(match relu.max.is_finite() {
            true => {
                ("ReLU with an upper bound", "0 at and beyond the bounds; passed unchanged at the matched stage".into())
            }
            false => ("ReLU", "0 at and below 0; passed unchanged at the matched stage".into()),
        })
    } else if layer.as_op::<StraightThroughRelu>().is_some() {
        Some(("straight-through ReLU", "a surrogate: passed unchanged".into()))
    } else if layer.as_op::<MaxPool2d>().is_some() {
        Some(("max pool", "passed to the first of equal maxima".into()))
    } else if let Some(cochleagram) = layer.as_op::<Cochleagram>() {
        let config = cochleagram.config();
        let rectifier = match config.rectifier {
            Rectifier::Identity => "passed unchanged where an envelope is negative",
            Rectifier::Plain => "0 where an envelope is negative",
        };
        let power = format!("that of the power {} clamped to {}", config.power, config.max_slope);
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

/// The gradient error of a custom module, relative to the change measured with finite differences; the outer `None` for other layers.
fn module_gradient_error(node: &Node) -> Option<Option<f64>> {
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
