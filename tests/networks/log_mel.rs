//! Log-mel energies and their gradient against float64 references (scripts/reference/log_mel.py).

use crate::common::{flat, relative, tensors, waveforms};
use metamers::hearing::{LogMel, LogMelConfig};
use metamers::ops::{Frozen, vjp};
use metamers::prelude::*;

fn log_mel() -> LogMel {
    LogMel::new(LogMelConfig::efficient_word_net()).unwrap()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

fn every(values: &[f32], step: usize) -> Vec<f32> {
    values.iter().step_by(step).copied().collect()
}

#[test]
fn values_and_gradients_equal_the_float64_reference() {
    let expected = tensors("log_mel.safetensors");
    for (name, wave) in waveforms() {
        let x = Var::from_vec(wave, (1, 24_000), &Device::Cpu).unwrap();
        let y = log_mel().apply(&x).unwrap();
        assert_eq!(y.dims(), [1, 1, 149, 64]);
        let cotangent = (0..y.elem_count()).map(|i| (((i * 7919) % 1009) as f64 / 1008.0 - 0.5) as f32).collect();
        let gradient = flat(&vjp(&y, &Tensor::from_vec(cotangent, y.shape(), &Device::Cpu).unwrap(), &x).unwrap());
        for (what, values, step) in [("values", flat(&y), 5), ("gradient", gradient, 7)] {
            let off = relative(&every(&values, step), &flat(&expected[&format!("{name}.{what}")]));
            println!("{name}: {what} off by {off:.1e}");
            assert!(off < 1e-5, "{name}: {what} off by {off}");
            let whole = if what == "values" { "norm" } else { "gradient_norm" };
            let size = f64::from(flat(&expected[&format!("{name}.{whole}")])[0]);
            assert!((norm(&values) / size - 1.0).abs() < 1e-5, "{name}: the norm of the {what} differs");
        }
    }
}

#[test]
fn a_batch_equals_its_sounds_one_by_one() {
    let waves = waveforms().map(|(_, wave)| Tensor::from_vec(wave, (1, 24_000), &Device::Cpu).unwrap());
    let together = log_mel().apply(&Tensor::cat(&waves, 0).unwrap()).unwrap();
    for (i, wave) in waves.iter().enumerate() {
        assert_eq!(flat(&together.get(i).unwrap()), flat(&log_mel().apply(wave).unwrap()));
    }
}

#[test]
fn silence_has_the_minimum_value_and_a_zero_gradient() {
    let x = Var::zeros((1, 24_000), DType::F32, &Device::Cpu).unwrap();
    let y = log_mel().apply(&x).unwrap();
    assert!(flat(&y).iter().all(|&v| v == f64::EPSILON.ln() as f32));
    assert!(flat(&vjp(&y, &y, &x).unwrap()).iter().all(|&g| g == 0.0));
}

#[test]
fn invalid_parameters_are_errors() {
    let good = LogMelConfig::efficient_word_net;
    let message = |config| LogMel::new(config).unwrap_err().to_string();
    assert!(message(LogMelConfig { win_length: 513, ..good() }).contains("log mel.win_length"));
    assert!(message(LogMelConfig { hop_length: 0, ..good() }).contains("log mel.hop_length"));
    assert!(message(LogMelConfig { hop_length: usize::MAX, ..good() }).contains("log mel.hop_length"));
    assert!(message(LogMelConfig { n_fft: 511, ..good() }).contains("even"));
    assert!(message(LogMelConfig { samples: 0, ..good() }).contains("log mel.samples"));
    assert!(message(LogMelConfig { n_mels: 0, ..good() }).contains("log mel.n_mels"));
    let short = Tensor::zeros((1, 16_000), DType::F32, &Device::Cpu).unwrap();
    assert!(log_mel().apply(&short).unwrap_err().to_string().contains("[batch, 24000]"));
}
