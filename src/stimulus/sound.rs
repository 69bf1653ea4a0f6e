//! Sounds: open, resample, cut, set the level, save.

use std::path::Path;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, StandardNormal, Uniform};
use rubato::audioadapter_buffers::direct::SequentialSliceOfSlices;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use super::Noise;
use super::noise::pink;
use crate::fs::wav;
use crate::fs::{assets, extension};
use crate::{Error, Result};

/// Rates that a file may state, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 100..=768_000;

/// More samples than this (about an hour at 44.1 kHz) are no stimulus.
const LONGEST: usize = 1 << 27;

/// This many full-scale samples in a row are taken for clipping: a peak that just fits touches full scale once.
const CLIPPED_RUN: usize = 3;

/// A mono sound of float32 samples in `[-1, 1]` at a rate in Hz.
///
/// ```
/// use metamers::prelude::*;
///
/// let tone = Sound::tone(44_100, 0.5, 440.0, 0.1)?;
/// let clip = tone.resample(20_000)?.fix_length(40_000)?;              // two seconds, the tone in the middle
/// assert_eq!((clip.sample_rate(), clip.len(), clip.seconds()), (20_000, 40_000, 2.0));
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Sound {
    name: String,
    rate: u32,
    samples: Vec<f32>,
}

impl Sound {
    /// Opens a WAV file: 8, 16, 24 or 32-bit integers or 32-bit floats, any number of channels, any rate.
    ///
    /// Channels are averaged. A relative path that does not exist is looked up among the files that ship with the
    /// project. A silent file opens, and so does a clipped one: [`Sound::clipped`] counts, and the text of the sound tells.
    ///
    /// # Errors
    /// [`Error::File`] with the path and the reason: no such file, no WAV, cut off, no samples, samples that are not finite, float
    /// samples outside of `[-1, 1]`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = assets::find(path.as_ref())?;
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self {
            name: extension::stimulus_name(&path),
            ..Self::decode(&bytes).map_err(|reason| Error::file(&path, reason))?
        })
    }

    /// Decodes the bytes of a WAV file; as [`Sound::open`], without a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::decode(bytes).map_err(|reason| Error::invalid("sound", reason))
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (rate, samples) = wav::decode(bytes)?;
        Self::from_samples("", rate, samples).map_err(|e| e.to_string())
    }

    /// A sound from its samples.
    ///
    /// # Errors
    /// No samples, a rate below 100 Hz or above 768 kHz, or samples that are not finite or outside of `[-1, 1]`.
    pub fn from_samples(name: impl Into<String>, rate: u32, samples: Vec<f32>) -> Result<Self> {
        if !RATES.contains(&rate) {
            return Err(Error::invalid("rate", format!("must be {} to {} Hz, got {rate}", RATES.start(), RATES.end())));
        }
        check_length(samples.len())?;
        crate::finite::check(|| "sound".into(), &samples)?;
        let peak = samples.iter().fold(0f32, |a, v| a.max(v.abs()));
        if peak > 1.0 {
            let reason =
                format!("samples lie in [-1, 1], and the largest here is {peak}; divide all by their peak first");
            return Err(Error::invalid("sound", reason));
        }
        Ok(Self { name: name.into(), rate, samples })
    }

    /// A sound from a tensor `[1, samples]` or `[samples]` of values in `[-1, 1]`.
    ///
    /// # Errors
    /// Another shape, and as [`Sound::from_samples`].
    pub fn from_tensor(tensor: &Tensor, rate: u32) -> Result<Self> {
        match *tensor.dims() {
            [_] | [1, _] => Self::from_samples("", rate, crate::ops::values(tensor)?),
            _ => Err(Error::shape("sound", "[1, samples]", tensor.dims())),
        }
    }

    /// A sine of this many seconds, frequency in Hz and amplitude, starting at 0.
    ///
    /// # Errors
    /// A frequency above half the rate, an amplitude outside of `[0, 1]`, and as [`Sound::from_samples`].
    pub fn tone(rate: u32, seconds: f64, hz: f64, amplitude: f64) -> Result<Self> {
        if !(hz >= 0.0 && hz <= f64::from(rate) / 2.0) {
            return Err(Error::invalid("hz", format!("a rate of {rate} Hz holds 0 to {} Hz, got {hz}", rate / 2)));
        }
        if !(0.0..=1.0).contains(&amplitude) {
            return Err(Error::invalid("amplitude", format!("must lie in [0, 1], got {amplitude}")));
        }
        let count = count(seconds, rate)?;
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        let samples = (0..count).map(|i| (amplitude * (step * i as f64).sin()) as f32).collect();
        Self::from_samples(format!("{hz} Hz"), rate, samples)
    }

    /// Noise of this many samples: the same seed gives the same bits.
    ///
    /// `Noise::Normal { mean: 0.0, .. }` is white noise, and [`Noise::Pink`] is made of the same with the amplitude of each
    /// frequency divided by its square root.
    ///
    /// # Errors
    /// A negative deviation, reversed bounds, a level that leaves `[-1, 1]`, and as [`Sound::from_samples`].
    pub fn noise(rate: u32, samples: usize, noise: Noise, seed: u64) -> Result<Self> {
        check_length(samples)?;
        noise.check([-1.0, 1.0])?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let values: Vec<f32> = match noise {
            Noise::Normal { mean, deviation } => {
                let normal = Normal::new(mean, deviation).map_err(|e| Error::invalid("noise", e.to_string()))?;
                (0..samples).map(|_| normal.sample(&mut random).clamp(-1.0, 1.0)).collect()
            }
            Noise::Uniform { low, high } => {
                let uniform = Uniform::new(low, high).map_err(|e| Error::invalid("noise", e.to_string()))?;
                (0..samples).map(|_| uniform.sample(&mut random)).collect()
            }
            Noise::Pink { rms } => {
                let white: Vec<f64> = (0..samples).map(|_| StandardNormal.sample(&mut random)).collect();
                let pink =
                    Self { name: String::new(), rate, samples: pink(white, rate).iter().map(|&v| v as f32).collect() };
                pink.set_rms(rms)?.samples
            }
        };
        Self::from_samples("noise", rate, values)
    }

    /// What the sound is called in captions.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same sound under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Samples a second.
    pub fn sample_rate(&self) -> u32 {
        self.rate
    }

    /// The samples.
    pub fn values(&self) -> &[f32] {
        &self.samples
    }

    /// How many samples there are.
    #[allow(clippy::len_without_is_empty, reason = "no sound is empty")]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// How long it lasts.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// Root mean square of the samples.
    pub fn rms(&self) -> f32 {
        let square: f64 = self.samples.iter().map(|&v| f64::from(v).powi(2)).sum();
        (square / self.samples.len() as f64).sqrt() as f32
    }

    /// The largest absolute sample.
    pub fn peak(&self) -> f32 {
        self.samples.iter().fold(0.0, |a, v| a.max(v.abs()))
    }

    /// How many samples stand at full scale next to others there: what a recorder cuts off.
    pub fn clipped(&self) -> usize {
        // The largest 8-bit sample is 127/128.
        let full = |v: &f32| v.abs() >= 0.99;
        let runs = self.samples.chunk_by(|a, b| full(a) && a == b);
        runs.filter(|run| run.len() >= CLIPPED_RUN).map(<[f32]>::len).sum()
    }

    /// The samples as a tensor `[1, samples]`.
    ///
    /// # Errors
    /// Never for a sound that could be made; the type leaves candle's word on it.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.samples, (1, self.samples.len()), &Device::Cpu)?)
    }

    /// The sound at another rate, antialiased; what overshoots `[-1, 1]` in between is clamped.
    ///
    /// # Errors
    /// A rate below 100 Hz or above 768 kHz.
    pub fn resample(&self, rate: u32) -> Result<Self> {
        if rate == self.rate {
            return Ok(self.clone());
        }
        if !RATES.contains(&rate) {
            return Err(Error::invalid("rate", format!("must be {} to {} Hz, got {rate}", RATES.start(), RATES.end())));
        }
        let failed = |e: &dyn std::fmt::Display| Error::invalid("resample", format!("{} to {rate} Hz: {e}", self.rate));
        let window = WindowFunction::BlackmanHarris2;
        // An even number of the smallest blocks that fit both rates: the filter then delays by whole samples.
        let block = self.rate / gcd(self.rate, rate);
        let chunk = (2 * block * (512 / block).max(1)) as usize;
        let resampler =
            Fft::<f64>::new_custom(self.rate as usize, rate as usize, chunk, 1, 1, window, FixedSync::Input);
        let mut resampler = resampler.map_err(|e| failed(&e))?;
        let samples: Vec<f64> = self.samples.iter().map(|&v| f64::from(v)).collect();
        let channels = [samples.as_slice()];
        let input = SequentialSliceOfSlices::new(&channels, 1, samples.len()).map_err(|e| failed(&e))?;
        let mut output = resampler.process_all(&input, samples.len(), None).map_err(|e| failed(&e))?.take_data();
        output.truncate(((self.seconds() * f64::from(rate)).round() as usize).max(1));
        let samples = output.iter().map(|v| v.clamp(-1.0, 1.0) as f32).collect();
        Self::from_samples(&self.name, rate, samples)
    }

    /// Cut or padded with silence to this many samples, the same number (or one less) before as behind.
    ///
    /// # Errors
    /// A length of 0, or of more than 134,217,728 samples (2^27).
    pub fn fix_length(&self, samples: usize) -> Result<Self> {
        check_length(samples)?;
        let fitted = if samples <= self.samples.len() {
            self.samples[(self.samples.len() - samples) / 2..][..samples].to_vec()
        } else {
            let mut padded = vec![0.0; samples];
            padded[(samples - self.samples.len()) / 2..][..self.samples.len()].copy_from_slice(&self.samples);
            padded
        };
        Self::from_samples(&self.name, self.rate, fitted)
    }

    /// The part from `start` to `end`, in seconds.
    ///
    /// # Errors
    /// When no sample lies between them.
    pub fn slice(&self, start: f64, end: f64) -> Result<Self> {
        let at = |seconds: f64| (seconds.max(0.0) * f64::from(self.rate)).round() as usize;
        let (first, last) = (at(start), at(end).min(self.samples.len()));
        if first >= last {
            let reason = format!("{start} s to {end} s holds no sample of {} s", self.seconds());
            return Err(Error::invalid("cut", reason));
        }
        Self::from_samples(&self.name, self.rate, self.samples[first..last].to_vec())
    }

    /// The sound without its mean; what then leaves `[-1, 1]` is clamped.
    pub fn remove_mean(mut self) -> Self {
        let mean = self.samples.iter().map(|&v| f64::from(v)).sum::<f64>() / self.samples.len() as f64;
        self.samples.iter_mut().for_each(|v| *v = (f64::from(*v) - mean).clamp(-1.0, 1.0) as f32);
        self
    }

    /// The sound scaled to this root mean square; the papers' networks hear speech at 0.1.
    ///
    /// # Errors
    /// A silent sound, and a level at which the largest sample would leave `[-1, 1]`.
    pub fn set_rms(mut self, rms: f32) -> Result<Self> {
        let now = self.rms();
        if !(rms.is_finite() && rms >= 0.0) {
            return Err(Error::invalid("rms", format!("must be 0 or more, got {rms}")));
        }
        if now == 0.0 {
            return Err(Error::invalid("rms", "the sound is silent: no gain gives it a level"));
        }
        let gain = f64::from(rms) / f64::from(now);
        let peak = f64::from(self.peak()) * gain;
        if peak > 1.0 + 1e-6 {
            let most = f64::from(rms) / peak;
            return Err(Error::invalid(
                "rms",
                format!("{rms} would clip: the peak would be {peak:.2}; at most {most:.3}"),
            ));
        }
        self.samples.iter_mut().for_each(|v| *v = (f64::from(*v) * gain).clamp(-1.0, 1.0) as f32);
        Ok(self)
    }

    /// As the words of the papers are given to a network: at `rate`, `samples` long, without a mean, rms 0.1.
    ///
    /// A recording so peaky that this would clip gets the highest level that does not.
    ///
    /// # Errors
    /// A silent sound, and as [`Sound::resample`] and [`Sound::fit`].
    pub fn prepare(&self, rate: u32, samples: usize) -> Result<Self> {
        let sound = self.resample(rate)?.fix_length(samples)?.remove_mean();
        let most = sound.rms() / sound.peak().max(f32::MIN_POSITIVE);
        sound.set_rms(most.min(0.1))
    }

    /// A sound of this one's rate with other samples, clamped to `[-1, 1]`.
    pub(crate) fn with_clamped(&self, name: &str, samples: &[f32]) -> Self {
        let samples = samples.iter().map(|v| v.clamp(-1.0, 1.0)).collect();
        Self { name: name.into(), rate: self.rate, samples }
    }

    /// The bytes of a WAV file of 32-bit floats: what was computed, to the bit.
    pub fn to_wav(&self) -> Vec<u8> {
        wav::floats(self.rate, self.samples.iter().copied())
    }

    /// The bytes of a WAV file of 16-bit integers: what every program plays.
    pub fn to_wav16(&self) -> Vec<u8> {
        wav::integers(self.rate, self.samples.iter().copied())
    }

    /// Writes a WAV file of 32-bit floats (`.wav`), or a page with a player (`.html`), a picture (`.png`) or a text (`.txt`).
    /// The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] for another extension or when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match extension::extension(path).as_str() {
            "wav" => crate::fs::atomic::write(path, &self.to_wav()),
            "html" | "htm" | "png" | "txt" => crate::display::Show::save(self, path),
            _ => Err(Error::file(path, "sounds are saved as .wav, .html, .png or .txt")),
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn check_length(samples: usize) -> Result<()> {
    match samples {
        1..=LONGEST => Ok(()),
        _ => Err(Error::invalid("sound", format!("holds 1 to {LONGEST} samples, got {samples}"))),
    }
}

fn count(seconds: f64, rate: u32) -> Result<usize> {
    let count = (seconds * f64::from(rate)).round();
    if !(count >= 1.0 && count <= LONGEST as f64) {
        return Err(Error::invalid(
            "seconds",
            format!("{seconds} s at {rate} Hz is not between 1 and {LONGEST} samples"),
        ));
    }
    Ok(count as usize)
}

impl std::fmt::Debug for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sound(\"{}\", {:.3} s at {} Hz)", self.name, self.seconds(), self.rate)
    }
}
