//! WAV encoding in memory.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};

/// Encodes samples in a format that hound supports.
fn encode<S: hound::Sample>(spec: WavSpec, samples: impl Iterator<Item = S>) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec).expect("16 and 32 bits are supported, and memory is writable");
    samples.for_each(|sample| writer.write_sample(sample).expect("the sample has the type and range of the format"));
    writer.finalize().expect("a mono file has no unfinished frame, and memory is writable");
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
