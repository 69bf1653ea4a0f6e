//! WAV files, read and written in memory.

use std::io::Cursor;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

/// The rate in Hz and the samples of a WAV file, its channels averaged; or what is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<(u32, Vec<f32>), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let mut reader =
        WavReader::new(Cursor::new(bytes)).map_err(|e| format!("is no WAV file that can be read ({e})"))?;
    let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
    // An extensible header states what it likes; above 32 no sample would fit, and 0 has no full scale.
    if !(1..=32).contains(&bits_per_sample) {
        return Err(format!("states {bits_per_sample} bits a sample, expected 8, 16, 24 or 32"));
    }
    let stated = reader.len() as usize;
    let read: Result<Vec<f32>, hound::Error> = match sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect(),
        SampleFormat::Int => {
            let full = (1u64 << (bits_per_sample - 1)) as f64;
            reader.samples::<i32>().map(|s| Ok((f64::from(s?) / full) as f32)).collect()
        }
    };
    let interleaved = read.map_err(|e| match e {
        hound::Error::IoError(_) => format!("ends before its {stated} samples do"),
        e => format!("its samples cannot be read ({e})"),
    })?;
    if interleaved.is_empty() || channels == 0 {
        return Err("holds no samples".into());
    }
    let several = usize::from(channels);
    let mean = |frame: &[f32]| (frame.iter().map(|&v| f64::from(v)).sum::<f64>() / several as f64) as f32;
    let samples = match several {
        1 => interleaved,
        _ => interleaved.chunks_exact(several).map(mean).collect(),
    };
    Ok((sample_rate, samples))
}

fn encode<S: hound::Sample>(spec: WavSpec, samples: impl Iterator<Item = S>) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec).expect("a usual format");
    samples.for_each(|sample| writer.write_sample(sample).expect("memory to write to"));
    writer.finalize().expect("memory to write to");
    bytes.into_inner()
}

/// A mono WAV file of 32-bit floats.
pub(crate) fn floats(rate: u32, samples: impl Iterator<Item = f32>) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 32, sample_format: SampleFormat::Float };
    encode(spec, samples)
}

/// A mono WAV file of 16-bit integers; samples outside of `[-1, 1]` are clamped.
pub(crate) fn integers(rate: u32, samples: impl Iterator<Item = f32>) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    encode(spec, samples.map(|v| (f64::from(v).clamp(-1.0, 1.0) * 32767.0).round() as i16))
}
