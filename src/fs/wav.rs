//! WAV decoding and encoding in memory.

use std::io::Cursor;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

/// Decodes a WAV file: its sample rate in Hz and its samples, averaged over channels. An error is the reason, without the path.
pub(crate) fn decode(bytes: &[u8]) -> Result<(u32, Vec<f32>), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let mut reader = WavReader::new(Cursor::new(bytes)).map_err(|e| format!("not a valid WAV file ({e})"))?;
    let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
    // An extensible header can claim any number; samples above 32 bits do not fit into an i32, and 0 bits have no full scale.
    if !(1..=32).contains(&bits_per_sample) {
        return Err(format!("{bits_per_sample} bits per sample are not supported, expected 8, 16, 24 or 32"));
    }
    let num_samples = reader.len() as usize;
    let read: Result<Vec<f32>, hound::Error> = match sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect(),
        SampleFormat::Int => {
            let full_scale = (1u64 << (bits_per_sample - 1)) as f64;
            reader.samples::<i32>().map(|s| Ok((f64::from(s?) / full_scale) as f32)).collect()
        }
    };
    let interleaved = read.map_err(|e| match e {
        hound::Error::IoError(_) => format!("the file is truncated: its header claims {num_samples} samples"),
        e => format!("cannot decode the samples ({e})"),
    })?;
    if interleaved.is_empty() || channels == 0 {
        return Err("the file has no samples".into());
    }
    let channels = usize::from(channels);
    let mean = |frame: &[f32]| (frame.iter().map(|&v| f64::from(v)).sum::<f64>() / channels as f64) as f32;
    let samples = match channels {
        1 => interleaved,
        _ => interleaved.chunks_exact(channels).map(mean).collect(),
    };
    Ok((sample_rate, samples))
}

/// Encodes samples in a format that hound supports.
fn encode<S: hound::Sample>(spec: WavSpec, samples: impl Iterator<Item = S>) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec).expect("the format is supported");
    samples.for_each(|sample| writer.write_sample(sample).expect("writing to memory cannot fail"));
    writer.finalize().expect("writing to memory cannot fail");
    bytes.into_inner()
}

/// Encodes samples as a mono WAV file of 32-bit floats.
pub(crate) fn encode_float32(sample_rate: u32, samples: impl Iterator<Item = f32>) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 32, sample_format: SampleFormat::Float };
    encode(spec, samples)
}

/// Encodes samples as a mono WAV file of 16-bit integers; samples outside `[-1, 1]` are clamped.
pub(crate) fn encode_pcm16(sample_rate: u32, samples: impl Iterator<Item = f32>) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    encode(spec, samples.map(|v| (f64::from(v).clamp(-1.0, 1.0) * 32767.0).round() as i16))
}
