//! What is done to a stimulus, in words.

use crate::hearing::{Cochleagram, LogMel};
use crate::network::{Input, Layer, Network};

pub(super) fn in_words(network: &Network) -> String {
    let taken = match *network.input() {
        Input::Image { shape: [channels, height, width], resize } => format!(
            "a photo's shorter side to {} pixels, its centre {height} × {width}, {channels} channels of values in [0, 1]",
            resize.max(height).max(width)
        ),
        Input::Sound { samples, sample_rate: rate } => format!(
            "a sound to {rate} Hz, the middle {samples} samples ({:.2} s), values in [-1, 1]",
            samples as f64 / f64::from(rate)
        ),
    };
    let first = network.nodes().iter().find(|node| node.inputs.iter().any(|input| input.0 == 0));
    let then = match first.map(|node| &node.layer) {
        Some(Layer::ChannelAffine(op)) => {
            // y = x scale + shift = (x - mean) / deviation
            let list = |values: Vec<f32>| values.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(", ");
            let mean = op.scale().iter().zip(op.shift()).map(|(a, b)| -b / a).collect();
            let deviation = op.scale().iter().map(|a| 1.0 / a).collect();
            format!("then (x − mean) / deviation for each channel, mean {}, deviation {}", list(mean), list(deviation))
        }
        Some(layer) if let Some(ear) = layer.as_op::<Cochleagram>() => {
            let (config, [low, high]) = (ear.config(), ear.config().hz);
            format!(
                "then a cochleagram of {} channels from {low} to {high} Hz and {} frames, to the power {}",
                config.channels(),
                ear.frames(),
                config.power
            )
        }
        Some(layer) if let Some(ear) = layer.as_op::<LogMel>() => {
            let config = ear.config();
            format!("then the logarithm of {} mel energies in {} frames", config.filters, config.frames())
        }
        Some(Layer::Standardize(_)) => "then each frame without its mean, over its deviation".into(),
        Some(Layer::Module(_)) => "then whatever the module does itself".into(),
        _ => "and nothing else: the first layer sees these values".into(),
    };
    format!("{taken}; {then}")
}
