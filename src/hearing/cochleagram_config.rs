//! Parameters of a cochleagram.

use crate::{Error, Result};

/// Parameters of a cochleagram; [`CochleagramConfig::feather2023`] and [`CochleagramConfig::feather2019`] are the published ones.
#[derive(Clone, Debug, PartialEq)]
pub struct CochleagramConfig {
    /// The sample rate of the waveform in Hz.
    pub sample_rate: u32,
    /// The length of the waveform in samples.
    pub samples: usize,
    /// The lowest and the highest frequency of the filter bank, in Hz.
    pub frequency_range: [f64; 2],
    /// The number n of filters before oversampling.
    pub filters: usize,
    /// The oversampling factor s of the filters, called `sample_factor` in pycochleagram.
    pub sample_factor: usize,
    /// The hop between frames in samples.
    pub hop_length: usize,
    /// The number of taps of the low-pass filter.
    pub taps: usize,
    /// The beta of the low-pass filter's Kaiser window.
    pub beta: f64,
    /// The padding of the waveform at its ends.
    pub padding: Padding,
    /// The gain of the low-passed envelopes.
    pub gain: f64,
    /// The offset added before the power.
    pub offset: f64,
    /// The exponent of the compression.
    pub power: f64,
    /// The upper bound on the derivative of the power in the backward pass.
    pub max_slope: f64,
    /// The gradient where a low-passed envelope is negative.
    pub rectifier: Rectifier,
}

/// The padding of the waveform at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// No padding: frames only where the whole low-pass filter lies inside the waveform.
    Valid,
    /// One frame for each `hop_length` samples, with zeros around the waveform (TensorFlow's `SAME`).
    Same,
}

/// The gradient of `max(0, x)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rectifier {
    /// 1 everywhere: the straight-through estimator.
    Identity,
    /// 1 above 0, and 0 elsewhere.
    Plain,
}

/// The largest beta whose Bessel function is finite, rounded down.
const MAX_BETA: f64 = 700.0;
/// The maximum number of channels times samples.
const MAX_VALUES: u64 = 1 << 32;

impl CochleagramConfig {
    /// The parameters of Feather et al. (Nature Neuroscience 2023): 211 filters from 50 to 10,000 Hz, 390 frames from 2 s at 20 kHz.
    #[must_use]
    pub fn feather2023() -> Self {
        Self {
            sample_rate: 20_000,
            samples: 40_000,
            frequency_range: [50.0, 10_000.0],
            filters: 50,
            sample_factor: 4,
            hop_length: 100,
            taps: 1001,
            beta: 5.0,
            padding: Padding::Valid,
            gain: 1.0,
            offset: 1e-8,
            power: 0.3,
            max_slope: 5.0,
            rectifier: Rectifier::Identity,
        }
    }

    /// The parameters of Feather et al. (NeurIPS 2019): 211 filters from 20 to 8,000 Hz, 400 frames, envelopes scaled by 796.874.
    #[must_use]
    pub fn feather2019() -> Self {
        Self {
            frequency_range: [20.0, 8_000.0],
            padding: Padding::Same,
            gain: 796.874,
            max_slope: 1.0,
            rectifier: Rectifier::Plain,
            ..Self::feather2023()
        }
    }

    /// All parameters as integers for a network's fingerprint; a float is given as the halves of its bits.
    pub(crate) fn identity(&self) -> Vec<usize> {
        let Self {
            sample_rate,
            samples,
            frequency_range: [lowest, highest],
            filters,
            sample_factor,
            hop_length: stride,
            taps,
            ..
        } = *self;
        let whole = [sample_rate as usize, samples, filters, sample_factor, stride, taps];
        let kinds = [self.padding as usize, self.rectifier as usize];
        let fractions = [lowest, highest, self.beta, self.gain, self.offset, self.power, self.max_slope];
        let bits = fractions.iter().flat_map(|value| [value.to_bits() >> 32, value.to_bits() & u64::from(u32::MAX)]);
        whole.into_iter().chain(kinds).chain(bits.map(|half| half as usize)).collect()
    }

    /// The number of frequency channels: `s (n + 3) - 1`, of which `2 s` are low-pass and high-pass filters.
    #[must_use]
    pub fn channels(&self) -> usize {
        // Saturates, because parameters that `check` rejects may have any size.
        self.sample_factor.saturating_mul(self.filters.saturating_add(3)).saturating_sub(1)
    }

    /// The number of frames, and the number of samples by which the first frame starts before the waveform.
    pub(super) fn frames_and_lead(&self) -> (usize, usize) {
        match self.padding {
            Padding::Valid => ((self.samples - self.taps) / self.hop_length + 1, 0),
            Padding::Same => {
                let frames = self.samples.div_ceil(self.hop_length);
                (frames, ((frames - 1) * self.hop_length + self.taps).saturating_sub(self.samples) / 2)
            }
        }
    }

    /// Checks that the parameters are valid.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid parameter; the message names it.
    pub fn check(&self) -> Result<()> {
        let [low, high] = self.frequency_range;
        let nyquist = f64::from(self.sample_rate) / 2.0;
        if !(low > 0.0 && low < high && high <= nyquist) {
            let reason =
                format!("must satisfy 0 < low < high <= {nyquist} Hz, half the sample rate; got {low} and {high} Hz");
            return Err(Error::invalid("cochleagram.frequency_range", reason));
        }
        if self.filters == 0 || self.sample_factor == 0 || self.channels() > 4096 {
            let reason = format!(
                "filters and sample_factor must be at least 1 and give at most 4096 channels, got {} and {}",
                self.filters, self.sample_factor
            );
            return Err(Error::invalid("cochleagram.filters", reason));
        }
        let (stride, taps) = (1..=self.samples, 1..=self.samples);
        if !stride.contains(&self.hop_length) || !taps.contains(&self.taps) || self.samples > 1 << 24 {
            let reason = format!(
                "taps and hop_length must be from 1 to the number of samples, which is at most {}; got {} taps, hop_length {} and {} samples",
                1 << 24,
                self.taps,
                self.hop_length,
                self.samples
            );
            return Err(Error::invalid("cochleagram.taps", reason));
        }
        // In u64, because the product overflows 32 bits.
        if self.channels() as u64 * self.samples as u64 > MAX_VALUES {
            let reason = format!(
                "times the channels must be at most {MAX_VALUES}, got {} samples and {} channels",
                self.samples,
                self.channels()
            );
            return Err(Error::invalid("cochleagram.samples", reason));
        }
        for (what, value) in [
            ("gain", self.gain),
            ("offset", self.offset),
            ("power", self.power),
            ("max_slope", self.max_slope),
            ("beta", self.beta),
        ] {
            if !(value.is_finite() && value > 0.0) {
                let reason = format!("must be above 0 and finite, got {value}");
                return Err(Error::invalid(format!("cochleagram.{what}"), reason));
            }
        }
        if self.beta > MAX_BETA {
            let reason = format!("must be {MAX_BETA} at most, got {}", self.beta);
            return Err(Error::invalid("cochleagram.beta", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_parameters_are_errors_without_overflow() {
        let preset = CochleagramConfig::feather2023();
        assert_eq!(
            (preset.channels(), CochleagramConfig { sample_factor: 1, filters: 1, ..preset.clone() }.channels()),
            (211, 3)
        );
        let huge = [0, u32::MAX as usize, usize::MAX / 2, usize::MAX];
        for number in huge {
            for (filters, sample_factor) in [(number, 4), (50, number), (number, number)] {
                let config = CochleagramConfig { filters, sample_factor, ..preset.clone() };
                assert!(number == 0 || config.channels() > 4096);
                let error = config.check().unwrap_err().to_string();
                assert!(error.contains("cochleagram.filters"), "{error}");
            }
            for (stride, taps, samples) in [(number, 1001, 40_000), (100, number, 40_000), (100, 1001, number)] {
                let error = CochleagramConfig { hop_length: stride, taps, samples, ..preset.clone() }
                    .check()
                    .unwrap_err()
                    .to_string();
                assert!(error.contains("cochleagram.taps"), "{error}");
            }
        }
    }

    #[test]
    fn many_channels_of_many_samples_are_an_error() {
        let config = |filters, samples| CochleagramConfig { filters, samples, ..CochleagramConfig::feather2023() };
        let error = config(1000, 1 << 24).check().unwrap_err().to_string();
        assert!(error.contains("cochleagram.samples") && error.contains("4011 channels"), "{error}");
        assert!(config(1000, 1 << 20).check().is_ok() && config(50, 1 << 24).check().is_ok());
    }
}
