//! Decoding of sound files in memory: WAV by its chunks and symphonia's codecs, other formats by symphonia's readers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::sound_container::{Mono, check_parameters, damaged, decode_container, make_decoder};
use super::wav_file::{WavFile, WavFormat, tag};
use crate::fs::file_kind::FileKind;

/// The number of frames of a WAV file that are decoded at a time.
const FRAMES_PER_PACKET: usize = 1 << 14;

/// Decodes a sound file: its sample rate in Hz and its samples, averaged over channels. An error is the reason, without the path.
pub(super) fn decode(bytes: &[u8]) -> Result<(u32, Vec<f32>), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let name = match FileKind::detect(bytes) {
        FileKind::Wav => "WAV",
        FileKind::Sound(name) => name,
        other => return Err(other.not_a_sound()),
    };
    // A decoder that panics on a damaged file has no state that outlives this call.
    let decoded = catch_unwind(AssertUnwindSafe(|| match name {
        "WAV" => decode_wav(bytes),
        _ => decode_container(bytes, name),
    }));
    let (sample_rate, samples) =
        decoded.unwrap_or_else(|_| Err(format!("the {name} file is damaged and cannot be decoded")))?;
    match samples.is_empty() {
        true => Err("the file has no samples".into()),
        false => Ok((sample_rate, samples)),
    }
}

fn decode_wav(bytes: &[u8]) -> Result<(u32, Vec<f32>), String> {
    let wav = WavFile::parse(bytes)?;
    let format = wav.format;
    let frame = usize::from(format.block_align);
    let mut parameters = AudioCodecParameters::new();
    parameters
        .for_codec(wav_codec(format)?)
        .with_sample_rate(format.sample_rate)
        .with_channels(Channels::Discrete(format.channels))
        .with_max_frames_per_packet(FRAMES_PER_PACKET as u64);
    check_parameters(&parameters, "WAV")?;
    let mut decoder = make_decoder(&parameters, "WAV")?;
    let mut mono = Mono::default();
    for data in wav.data.chunks(FRAMES_PER_PACKET * frame) {
        let packet = PacketRef::new(0, Timestamp::new(0), Duration::new((data.len() / frame) as u64), data);
        let decoded = decoder.decode_ref(&packet).map_err(|e| damaged("WAV", &mono, format.sample_rate, &e))?;
        mono.push(&decoded)?;
    }
    Ok((format.sample_rate, mono.samples))
}

fn wav_codec(format: WavFormat) -> Result<AudioCodecId, String> {
    Ok(match (format.tag, format.bytes_per_sample()) {
        (tag::PCM, 1) => codec::CODEC_ID_PCM_U8,
        (tag::PCM, 2) => codec::CODEC_ID_PCM_S16LE,
        (tag::PCM, 3) => codec::CODEC_ID_PCM_S24LE,
        (tag::PCM, 4) => codec::CODEC_ID_PCM_S32LE,
        (tag::FLOAT, 4) => codec::CODEC_ID_PCM_F32LE,
        (tag::FLOAT, 8) => codec::CODEC_ID_PCM_F64LE,
        (tag::A_LAW, _) => codec::CODEC_ID_PCM_ALAW,
        (tag::MU_LAW, _) => codec::CODEC_ID_PCM_MULAW,
        (tag, bytes) => return Err(format!("{bytes} bytes per sample of WAV format {tag} are not supported")),
    })
}
