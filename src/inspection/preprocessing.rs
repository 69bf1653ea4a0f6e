//! A description of a network's preprocessing.

use crate::network::{Input, Layer, Network};

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
    let then = match first.map(|node| &node.layer) {
        Some(Layer::ChannelAffine(op)) => {
            // y = x scale + shift = (x - mean) / deviation
            let list = |values: Vec<f32>| values.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(", ");
            let mean = op.scale().iter().zip(op.shift()).map(|(a, b)| -b / a).collect();
            let deviation = op.scale().iter().map(|a| 1.0 / a).collect();
            format!("then (x − mean) / std for each channel, mean {}, std {}", list(mean), list(deviation))
        }
        Some(Layer::Cochleagram(cochleagram)) => {
            let (config, [low, high]) = (cochleagram.config(), cochleagram.config().hz);
            format!(
                "then a cochleagram of {} channels from {low} to {high} Hz and {} frames, to the power {}",
                config.channels(),
                cochleagram.frames(),
                config.power
            )
        }
        Some(Layer::LogMel(log_mel)) => {
            let config = log_mel.config();
            format!("then {} log-mel energies in {} frames", config.filters, config.frames())
        }
        Some(Layer::Standardize(_)) => {
            "then each frame standardised: mean subtracted, divided by the standard deviation".into()
        }
        Some(Layer::Module(_)) => "then the preprocessing inside the module".into(),
        _ => "no further preprocessing".into(),
    };
    format!("{input}; {then}")
}
