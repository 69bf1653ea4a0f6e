//! A description of a network's preprocessing.

use crate::hearing::{Cochleagram, LogMel};
use crate::network::{Input, Layer, Network};
use crate::ops::{ChannelAffine, Standardize};

/// Describes the preparation of a stimulus and the preprocessing layer of a network.
pub(super) fn describe(network: &Network) -> String {
    let input = match *network.input() {
        Input::Image { shape: [channels, height, width], resize } => format!(
            "shorter side resized to {} pixels, centre crop of {height} × {width}, {channels} channels of values in [0, 1]",
            resize.max(height).max(width)
        ),
        Input::Sound { samples, sample_rate: rate } => format!(
            "resampled to {rate} Hz, the middle {samples} samples ({:.2} s), values in [-1, 1]",
            samples as f64 / f64::from(rate)
        ),
    };
    let first = network.nodes().iter().find(|node| node.inputs.iter().any(|input| input.0 == 0));
    let then = first.map_or_else(no_preprocessing, |node| describe_layer(&node.layer));
    format!("{input}; {then}")
}

fn no_preprocessing() -> String {
    "no further preprocessing".into()
}

/// Describes the first layer of a network, if it preprocesses the input.
fn describe_layer(layer: &Layer) -> String {
    if let Some(op) = layer.as_op::<ChannelAffine>() {
        // y = x scale + shift = (x - mean) / deviation.
        let list = |values: Vec<f32>| values.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(", ");
        let mean = op.scale().iter().zip(op.shift()).map(|(a, b)| -b / a).collect();
        let deviation = op.scale().iter().map(|a| 1.0 / a).collect();
        format!("then (x − mean) / std for each channel, mean {}, std {}", list(mean), list(deviation))
    } else if let Some(cochleagram) = layer.as_op::<Cochleagram>() {
        let (config, [low, high]) = (cochleagram.config(), cochleagram.config().frequency_range);
        format!(
            "then a cochleagram of {} channels from {low} to {high} Hz and {} frames, to the power {}",
            config.channels(),
            cochleagram.frames(),
            config.power
        )
    } else if let Some(log_mel) = layer.as_op::<LogMel>() {
        let config = log_mel.config();
        format!("then {} log-mel energies in {} frames", config.n_mels, config.frames())
    } else if layer.as_op::<Standardize>().is_some() {
        "then each frame standardised: mean subtracted, divided by the standard deviation".into()
    } else if matches!(layer, Layer::Module(_)) {
        "then the preprocessing inside the module".into()
    } else {
        no_preprocessing()
    }
}
