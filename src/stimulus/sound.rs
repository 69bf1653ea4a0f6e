//! Sounds: open, resample, slice, set the level, save.

use std::path::Path;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, StandardNormal, Uniform};
use rubato::audioadapter_buffers::direct::SequentialSliceOfSlices;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use super::Noise;
use super::noise::pink;
use super::sound_container::MAX_SAMPLES;
use super::sound_decoder;
use crate::fs::file_kind::FileKind;
use crate::fs::{assets, extension, files, wav};
use crate::{Error, Result};

/// The supported sample rates, in Hz.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 100..=768_000;

/// The minimum number of consecutive full-scale samples that count as clipped: a peak that just fits touches full scale once.
const MIN_CLIPPED_RUN: usize = 3;

/// A mono sound of float32 samples in `[-1, 1]` with a sample rate in Hz.
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
    sample_rate: u32,
    samples: Vec<f32>,
}

impl Sound {
    /// Opens a WAV, FLAC, AIFF, Ogg Vorbis, MP3 or M4A (AAC or Apple Lossless) file with up to 256 channels and a sample rate of 100 Hz
    /// to 768 kHz.
    ///
    /// Channels are averaged. WAV files have 8 to 32-bit integers, 32 or 64-bit floats, A-law or mu-law; headers of files that were
    /// written to a pipe, which lack a length, are read to the end of the file. The samples that encoders of MP3 and M4A add at both
    /// ends are removed where the file states their number. The format is told by the content, not by the extension.
    ///
    /// A relative path that does not exist is looked up among the files that ship with the project. Silent and clipped files are
    /// accepted; [`Sound::clipped`] counts clipped samples.
    ///
    /// # Errors
    /// [`Error::File`] with the path and the reason: the file does not exist, is larger than 2 GB, is damaged, is truncated, has no samples,
    /// has samples that are not finite or outside `[-1, 1]` (see [`Sound::open_scaled`]), or has another format (Opus, WMA, a video), which
    /// the reason names.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), Self::checked)
    }

    /// Opens a sound file like [`Sound::open`]; a sound whose peak is above 1 is divided by its peak.
    ///
    /// Files of floats, MP3 and M4A can have such peaks. The scale changes the level: set it with [`Sound::set_rms`] where it matters.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("tone.wav");
    /// Sound::tone(16_000, 0.1, 440.0, 0.5)?.save(&path)?;
    /// assert_eq!(Sound::open_scaled(&path)?, Sound::open(&path)?);         // its peak is 0.5: nothing to scale
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Sound::open`], except for samples outside `[-1, 1]`.
    pub fn open_scaled(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), |rate, samples| Self::checked(rate, scaled(samples)))
    }

    fn open_with(path: &Path, create: impl Fn(u32, Vec<f32>) -> DecodeResult<Self>) -> Result<Self> {
        let path = assets::find(path)?;
        let bytes = files::read_stimulus(&path, |kind| {
            let may_be_sound = matches!(kind, FileKind::Wav | FileKind::Sound(_) | FileKind::Unknown);
            (!may_be_sound).then(|| kind.not_a_sound())
        })?;
        let decoded = sound_decoder::decode(&bytes).and_then(|(rate, samples)| create(rate, samples));
        Ok(Self { name: extension::stimulus_name(&path), ..decoded.map_err(|reason| Error::file(&path, reason))? })
    }

    /// Decodes the bytes of a sound file, as [`Sound::open`] does, without a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let decoded = sound_decoder::decode(bytes).and_then(|(rate, samples)| Self::checked(rate, samples));
        decoded.map_err(|reason| Error::invalid("sound", reason))
    }

    /// Decodes the bytes of a sound file like [`Sound::from_bytes`]; a sound whose peak is above 1 is divided by its peak.
    ///
    /// # Errors
    /// As [`Sound::from_bytes`], except for samples outside `[-1, 1]`.
    pub fn from_bytes_scaled(bytes: &[u8]) -> Result<Self> {
        let decoded = sound_decoder::decode(bytes).and_then(|(rate, samples)| Self::checked(rate, scaled(samples)));
        decoded.map_err(|reason| Error::invalid("sound", reason))
    }

    /// Creates a sound from the samples of a file. The error is the reason.
    fn checked(sample_rate: u32, samples: Vec<f32>) -> DecodeResult<Self> {
        let peak = peak(&samples);
        if peak.is_finite() && peak > 1.0 {
            return Err(format!(
                "samples must lie in [-1, 1], but the peak is {peak}; Sound::open_scaled divides the samples by their peak"
            ));
        }
        Self::from_samples("", sample_rate, samples).map_err(|e| e.to_string())
    }

    /// Creates a sound from its samples.
    ///
    /// # Errors
    /// When there are no samples, the sample rate is below 100 Hz or above 768 kHz, or samples are not finite or outside `[-1, 1]`.
    pub fn from_samples(name: impl Into<String>, sample_rate: u32, samples: Vec<f32>) -> Result<Self> {
        check_sample_rate(sample_rate)?;
        check_length(samples.len())?;
        crate::finite::check(|| "sound".into(), &samples)?;
        let peak = peak(&samples);
        if peak > 1.0 {
            let reason = format!("samples must lie in [-1, 1], but the peak is {peak}; divide all samples by it first");
            return Err(Error::invalid("sound", reason));
        }
        Ok(Self { name: name.into(), sample_rate, samples })
    }

    /// Creates a sound from its samples like [`Sound::from_samples`]; samples whose peak is above 1 are divided by their peak.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let sound = Sound::from_samples_scaled("loud", 16_000, vec![0.5, -2.0, 1.0])?;
    /// assert_eq!(sound.values(), [0.25, -1.0, 0.5]);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Sound::from_samples`], except for samples outside `[-1, 1]`.
    pub fn from_samples_scaled(name: impl Into<String>, sample_rate: u32, samples: Vec<f32>) -> Result<Self> {
        Self::from_samples(name, sample_rate, scaled(samples))
    }

    /// Creates a sound from a tensor `[1, samples]` or `[samples]` of values in `[-1, 1]`.
    ///
    /// # Errors
    /// For another shape, and as [`Sound::from_samples`].
    pub fn from_tensor(tensor: &Tensor, sample_rate: u32) -> Result<Self> {
        match *tensor.dims() {
            [_] | [1, _] => Self::from_samples("", sample_rate, crate::ops::values(tensor)?),
            _ => Err(Error::shape("sound", "[1, samples]", tensor.dims())),
        }
    }

    /// Creates a pure tone: a sine with phase 0, a duration in seconds, a frequency in Hz and an amplitude.
    ///
    /// # Errors
    /// For a frequency above the Nyquist frequency, an amplitude outside `[0, 1]`, and as [`Sound::from_samples`].
    pub fn tone(sample_rate: u32, seconds: f64, hz: f64, amplitude: f64) -> Result<Self> {
        if !(hz >= 0.0 && hz <= f64::from(sample_rate) / 2.0) {
            return Err(Error::invalid(
                "hz",
                format!("must be 0 to {} Hz at a sample rate of {sample_rate} Hz, got {hz}", sample_rate / 2),
            ));
        }
        if !(0.0..=1.0).contains(&amplitude) {
            return Err(Error::invalid("amplitude", format!("must lie in [0, 1], got {amplitude}")));
        }
        let count = sample_count(seconds, sample_rate)?;
        let step = std::f64::consts::TAU * hz / f64::from(sample_rate);
        let samples = (0..count).map(|i| (amplitude * (step * i as f64).sin()) as f32).collect();
        Self::from_samples(format!("{hz} Hz"), sample_rate, samples)
    }

    /// Creates a noise sound; the same seed gives the same bits.
    ///
    /// `Noise::Normal { mean: 0.0, .. }` is white noise. [`Noise::Pink`] is white noise with the amplitude at each frequency divided by
    /// the square root of the frequency.
    ///
    /// # Errors
    /// For a negative standard deviation, reversed bounds, a level at which samples leave `[-1, 1]`, and as [`Sound::from_samples`].
    pub fn noise(sample_rate: u32, samples: usize, noise: Noise, seed: u64) -> Result<Self> {
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
                let samples = pink(white, sample_rate).iter().map(|&v| v as f32).collect();
                Self { name: String::new(), sample_rate, samples }.set_rms(rms)?.samples
            }
        };
        Self::from_samples("noise", sample_rate, values)
    }

    /// The name that captions show.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Replaces the name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The sample rate in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The samples, in `[-1, 1]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.samples
    }

    /// The number of samples.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a sound always has samples")]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// The duration in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }

    /// The root mean square of the samples.
    #[must_use]
    pub fn rms(&self) -> f32 {
        let square: f64 = self.samples.iter().map(|&v| f64::from(v).powi(2)).sum();
        (square / self.samples.len() as f64).sqrt() as f32
    }

    /// The largest absolute sample.
    #[must_use]
    pub fn peak(&self) -> f32 {
        peak(&self.samples)
    }

    /// The number of clipped samples: those in runs of at least three equal samples at full scale.
    #[must_use]
    pub fn clipped(&self) -> usize {
        // The largest 8-bit sample is 127/128.
        let full = |v: &f32| v.abs() >= 0.99;
        let runs = self.samples.chunk_by(|a, b| full(a) && a == b);
        runs.filter(|run| run.len() >= MIN_CLIPPED_RUN).map(<[f32]>::len).sum()
    }

    /// Converts the samples to a tensor `[1, samples]`.
    ///
    /// # Errors
    /// Infallible for a valid sound; the `Result` comes from candle.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.samples, (1, self.samples.len()), &Device::Cpu)?)
    }

    /// Resamples to another sample rate in Hz, with antialiasing. Samples that overshoot `[-1, 1]` are clamped.
    ///
    /// # Errors
    /// For a sample rate below 100 Hz or above 768 kHz, and for more than 134,217,728 samples (2^27) at that rate.
    pub fn resample(&self, sample_rate: u32) -> Result<Self> {
        if sample_rate == self.sample_rate {
            return Ok(self.clone());
        }
        check_sample_rate(sample_rate)?;
        let failed = |e: &dyn std::fmt::Display| {
            Error::invalid("resample", format!("{} to {sample_rate} Hz: {e}", self.sample_rate))
        };
        // Checked first, because the resampler allocates its whole output.
        let length = ((self.seconds() * f64::from(sample_rate)).round() as usize).max(1);
        check_length(length).map_err(|e| failed(&e))?;
        let window = WindowFunction::BlackmanHarris2;
        // An even number of the smallest blocks that fit both rates makes the delay of the filter an integer number of samples.
        let block = self.sample_rate / gcd(self.sample_rate, sample_rate);
        let chunk = (2 * block * (512 / block).max(1)) as usize;
        let resampler = Fft::<f64>::new_custom(
            self.sample_rate as usize,
            sample_rate as usize,
            chunk,
            1,
            1,
            window,
            FixedSync::Input,
        );
        let mut resampler = resampler.map_err(|e| failed(&e))?;
        let samples: Vec<f64> = self.samples.iter().map(|&v| f64::from(v)).collect();
        let channels = [samples.as_slice()];
        let input = SequentialSliceOfSlices::new(&channels, 1, samples.len()).map_err(|e| failed(&e))?;
        let mut output = resampler.process_all(&input, samples.len(), None).map_err(|e| failed(&e))?.take_data();
        output.truncate(length);
        let samples = output.iter().map(|v| v.clamp(-1.0, 1.0) as f32).collect();
        Self::from_samples(&self.name, sample_rate, samples)
    }

    /// Trims the sound, or pads it with silence, to this many samples, equally at both ends; an odd difference puts the extra sample at
    /// the end.
    ///
    /// # Errors
    /// For a length of 0, or of more than 134,217,728 samples (2^27).
    pub fn fix_length(&self, samples: usize) -> Result<Self> {
        check_length(samples)?;
        let fixed = if samples <= self.samples.len() {
            self.samples[(self.samples.len() - samples) / 2..][..samples].to_vec()
        } else {
            let mut padded = vec![0.0; samples];
            padded[(samples - self.samples.len()) / 2..][..self.samples.len()].copy_from_slice(&self.samples);
            padded
        };
        Self::from_samples(&self.name, self.sample_rate, fixed)
    }

    /// Returns the part from `start` to `end`, in seconds.
    ///
    /// # Errors
    /// When the part has no samples.
    pub fn slice(&self, start: f64, end: f64) -> Result<Self> {
        let at = |seconds: f64| (seconds.max(0.0) * f64::from(self.sample_rate)).round() as usize;
        let (first, last) = (at(start), at(end).min(self.samples.len()));
        if first >= last {
            let reason =
                format!("there are no samples from {start} s to {end} s; the sound lasts {} s", self.seconds());
            return Err(Error::invalid("slice", reason));
        }
        Self::from_samples(&self.name, self.sample_rate, self.samples[first..last].to_vec())
    }

    /// Subtracts the mean; samples that then leave `[-1, 1]` are clamped.
    #[must_use]
    pub fn remove_mean(mut self) -> Self {
        let mean = self.samples.iter().map(|&v| f64::from(v)).sum::<f64>() / self.samples.len() as f64;
        self.samples.iter_mut().for_each(|v| *v = (f64::from(*v) - mean).clamp(-1.0, 1.0) as f32);
        self
    }

    /// Scales the sound to this root mean square. The networks of Feather et al. were trained on speech at 0.1.
    ///
    /// # Errors
    /// For a silent sound, and for a level at which the peak would leave `[-1, 1]`.
    pub fn set_rms(mut self, rms: f32) -> Result<Self> {
        let current = self.rms();
        if !(rms.is_finite() && rms >= 0.0) {
            return Err(Error::invalid("rms", format!("must be 0 or more, got {rms}")));
        }
        if current == 0.0 {
            return Err(Error::invalid("rms", "the level of a silent sound cannot be set"));
        }
        let gain = f64::from(rms) / f64::from(current);
        let peak = f64::from(self.peak()) * gain;
        if peak > 1.0 + 1e-6 {
            let max = f64::from(rms) / peak;
            return Err(Error::invalid("rms", format!("{rms} would clip (peak {peak:.2}); the maximum is {max:.3}")));
        }
        self.samples.iter_mut().for_each(|v| *v = (f64::from(*v) * gain).clamp(-1.0, 1.0) as f32);
        Ok(self)
    }

    /// Prepares a spoken word for the networks of Feather et al.: resamples it, fixes its length, removes its mean, and sets an rms of 0.1.
    ///
    /// If that level would clip, the sound gets the highest level that does not clip.
    ///
    /// # Errors
    /// For a silent sound, and as [`Sound::resample`] and [`Sound::fix_length`].
    pub fn prepare(&self, sample_rate: u32, samples: usize) -> Result<Self> {
        self.resample(sample_rate)?.fix_length(samples)?.at_level(0.1)
    }

    /// Removes the mean and sets the rms, or the highest one that does not clip.
    pub(crate) fn at_level(self, rms: f32) -> Result<Self> {
        let sound = self.remove_mean();
        let max_rms = sound.rms() / sound.peak().max(f32::MIN_POSITIVE);
        sound.set_rms(max_rms.min(rms))
    }

    /// Creates a sound with the same sample rate and other samples, clamped to `[-1, 1]`.
    pub(crate) fn with_clamped(&self, name: &str, samples: &[f32]) -> Self {
        let samples = samples.iter().map(|v| v.clamp(-1.0, 1.0)).collect();
        Self { name: name.into(), sample_rate: self.sample_rate, samples }
    }

    /// Encodes the sound as a WAV file of 32-bit floats, which keeps its samples exactly.
    #[must_use]
    pub fn to_wav(&self) -> Vec<u8> {
        wav::encode_float32(self.sample_rate, self.samples.iter().copied())
    }

    /// Encodes the sound as a WAV file of 16-bit integers, which every program plays.
    #[must_use]
    pub fn to_wav16(&self) -> Vec<u8> {
        wav::encode_pcm16(self.sample_rate, self.samples.iter().copied())
    }

    /// Saves the sound as a WAV file of 32-bit floats (`.wav`), atomically. [`export`](crate::display::Show::export) saves a page with
    /// a player, a picture or a text.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, or when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match extension::lowercase_extension(path).as_str() {
            "wav" => crate::fs::atomic::write(path, &self.to_wav()),
            "html" | "htm" | "png" | "txt" => {
                Err(Error::file(path, "sounds are saved as .wav; call `export` for a page, a picture or a text"))
            }
            _ => Err(Error::file(path, "sounds are saved as .wav")),
        }
    }
}

/// The reason instead of an error, where the caller knows the path.
type DecodeResult<T> = std::result::Result<T, String>;

fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |a, v| a.max(v.abs()))
}

/// Divides samples by their peak if it is above 1.
fn scaled(mut samples: Vec<f32>) -> Vec<f32> {
    let peak = peak(&samples);
    if peak.is_finite() && peak > 1.0 {
        samples.iter_mut().for_each(|v| *v = (*v / peak).clamp(-1.0, 1.0));
    }
    samples
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn check_sample_rate(sample_rate: u32) -> Result<()> {
    if SAMPLE_RATES.contains(&sample_rate) {
        return Ok(());
    }
    let (min, max) = (SAMPLE_RATES.start(), SAMPLE_RATES.end());
    Err(Error::invalid("sample rate", format!("must be {min} to {max} Hz, got {sample_rate}")))
}

fn check_length(samples: usize) -> Result<()> {
    match samples {
        1..=MAX_SAMPLES => Ok(()),
        _ => Err(Error::invalid("sound", format!("must have 1 to {MAX_SAMPLES} samples, got {samples}"))),
    }
}

/// The number of samples in a duration.
fn sample_count(seconds: f64, sample_rate: u32) -> Result<usize> {
    let count = (seconds * f64::from(sample_rate)).round();
    if !(count >= 1.0 && count <= MAX_SAMPLES as f64) {
        return Err(Error::invalid(
            "seconds",
            format!("must give 1 to {MAX_SAMPLES} samples, got {seconds} s at {sample_rate} Hz"),
        ));
    }
    Ok(count as usize)
}

impl std::fmt::Debug for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sound(\"{}\", {:.3} s at {} Hz)", self.name, self.seconds(), self.sample_rate)
    }
}
