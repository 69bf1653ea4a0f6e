//! Sounds in the containers that symphonia reads, and what its decoders need.

use std::io::Cursor;

use symphonia::core::audio::{Channels, GenericAudioBufferRef};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};

use super::mp4_edit::{Edit, edit};

/// The maximum number of samples of a sound, about an hour at 44.1 kHz.
pub(super) const MAX_SAMPLES: usize = 1 << 27;

/// The maximum number of channels.
const MAX_CHANNELS: usize = 256;

/// The maximum number of frames in a packet of Apple Lossless; its usual number is 4096, and decoders allocate what the file states.
const MAX_ALAC_FRAMES: u32 = 1 << 16;

/// The number of samples, two frames, by which an MP3 file may be shorter than its header states.
const MAX_UNCERTAIN_MP3_SAMPLES: u64 = 2 * 1152;

/// The decoded samples, averaged over channels as they come.
#[derive(Default)]
pub(super) struct Mono {
    pub samples: Vec<f32>,
    interleaved: Vec<f64>,
}

impl Mono {
    /// Adds the mean of the channels.
    pub fn push(&mut self, decoded: &GenericAudioBufferRef<'_>) -> Result<(), String> {
        let channels = decoded.spec().channels().count().max(1);
        decoded.copy_to_vec_interleaved(&mut self.interleaved);
        if self.samples.len() + self.interleaved.len() / channels > MAX_SAMPLES {
            return Err(format!("the sound has more than {MAX_SAMPLES} samples; cut it into shorter files first"));
        }
        let mean = |frame: &[f64]| (frame.iter().sum::<f64>() / channels as f64) as f32;
        self.samples.extend(self.interleaved.chunks_exact(channels).map(mean));
        Ok(())
    }
}

/// Decodes a file by symphonia's reader of its format.
pub(super) fn decode_container(bytes: &[u8], name: &'static str) -> Result<(u32, Vec<f32>), String> {
    let source: Box<dyn MediaSource + '_> = match name {
        // Where it can seek, symphonia estimates the length of files without a header from the bit rate, and cuts them there.
        "MP3" | "AAC" => Box::new(ReadOnlySource::new(Cursor::new(bytes))),
        _ => Box::new(Cursor::new(bytes)),
    };
    let stream = MediaSourceStream::new(source, Default::default());
    let probed = symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default());
    let mut reader = probed.map_err(|e| refused(name, &e))?;
    let track = reader.default_track(TrackType::Audio).or_else(|| reader.first_track(TrackType::Audio));
    let track = track.ok_or_else(|| format!("the {name} file has no sound track"))?.clone();
    let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
        return Err(format!("the {name} file has a sound of an unknown codec; convert it to WAV or FLAC first"));
    };
    check_parameters(parameters, name)?;
    let mut decoder = make_decoder(parameters, name)?;
    let (mut mono, mut sample_rate) = (Mono::default(), parameters.sample_rate.unwrap_or(0));
    decode_packets(&mut *reader, &mut *decoder, &track, name, &mut mono, &mut sample_rate)?;
    if decoder.finalize().verify_ok == Some(false) {
        return Err(format!("the {name} file is damaged: its checksum differs from that of its samples"));
    }
    match name {
        "MP4" => trim(&mut mono.samples, edit(bytes, track.id), sample_rate),
        _ => check_complete(&mono, &track, sample_rate, name)?,
    }
    Ok((sample_rate, mono.samples))
}

fn decode_packets(
    reader: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track: &Track,
    name: &str,
    mono: &mut Mono,
    sample_rate: &mut u32,
) -> Result<(), String> {
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(()),
            Err(e) => return Err(damaged(name, mono, *sample_rate, &e)),
        };
        if packet.track_id != track.id {
            continue;
        }
        let decoded = match decoder.decode(&packet) {
            // The first frames of an MP3 file that was cut out of another refer to frames that are missing.
            Err(SymphoniaError::DecodeError(_)) if name == "MP3" && mono.samples.is_empty() => continue,
            decoded => decoded.map_err(|e| damaged(name, mono, *sample_rate, &e))?,
        };
        let rate = decoded.spec().rate();
        if mono.samples.is_empty() {
            *sample_rate = rate;
        } else if rate != *sample_rate {
            return Err(format!(
                "the {name} file changes its sample rate from {sample_rate} to {rate} Hz; convert it to WAV first"
            ));
        }
        mono.push(&decoded)?;
    }
}

/// Makes the decoder of a codec.
pub(super) fn make_decoder(parameters: &AudioCodecParameters, name: &str) -> Result<Box<dyn AudioDecoder>, String> {
    let options = AudioDecoderOptions::default().verify(true);
    symphonia::default::get_codecs().make_audio_decoder(parameters, &options).map_err(|e| match e {
        SymphoniaError::Unsupported(_) => format!(
            "the sound in the {name} file is {}, which is not supported; convert it to WAV or FLAC first",
            unsupported_codec(parameters.codec)
        ),
        e => refused(name, &e),
    })
}

fn unsupported_codec(id: AudioCodecId) -> &'static str {
    match id {
        codec::CODEC_ID_OPUS => "Opus",
        codec::CODEC_ID_SPEEX => "Speex",
        codec::CODEC_ID_AC3 => "AC-3",
        codec::CODEC_ID_AAC => "a variant of AAC (HE-AAC or more than two channels)",
        _ => "of an unknown codec",
    }
}

/// Checks the numbers that decoders allocate memory by.
pub(super) fn check_parameters(parameters: &AudioCodecParameters, name: &str) -> Result<(), String> {
    let channels = parameters.channels.as_ref().map_or(1, Channels::count);
    if channels > MAX_CHANNELS {
        return Err(format!("the {name} file has {channels} channels; at most {MAX_CHANNELS} are supported"));
    }
    let extra = parameters.extra_data.as_deref().unwrap_or_default();
    if parameters.codec == codec::CODEC_ID_ALAC && extra.len() >= 4 {
        let frames = u32::from_be_bytes([extra[0], extra[1], extra[2], extra[3]]);
        if frames > MAX_ALAC_FRAMES {
            return Err(format!("the {name} file is damaged: it states packets of {frames} samples"));
        }
    }
    Ok(())
}

/// Checks that there are as many samples as the header states.
fn check_complete(mono: &Mono, track: &Track, sample_rate: u32, name: &str) -> Result<(), String> {
    let missing_allowed = match name {
        "FLAC" | "AIFF" => 0,
        // Encoders disagree whether the frame of the header counts.
        "MP3" if track.delay.is_some() => MAX_UNCERTAIN_MP3_SAMPLES,
        // symphonia estimates the number.
        _ => return Ok(()),
    };
    let found = mono.samples.len() as u64;
    match track.num_frames {
        Some(stated) if found + missing_allowed < stated => Err(format!(
            "the file is truncated: its {name} header claims {stated} samples ({:.1} s), but {found} follow",
            stated as f64 / f64::from(sample_rate.max(1))
        )),
        _ => Ok(()),
    }
}

/// Removes what the encoder added at both ends.
fn trim(samples: &mut Vec<f32>, edit: Option<Edit>, sample_rate: u32) {
    let Some(edit) = edit else { return };
    let start = edit.start_samples(sample_rate).min(samples.len());
    samples.drain(..start);
    if let Some(length) = edit.num_samples(sample_rate) {
        samples.truncate(length);
    }
}

/// The reason for a file that symphonia's reader refuses.
fn refused(name: &str, error: &SymphoniaError) -> String {
    match error {
        SymphoniaError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("the {name} file is truncated: it ends within its header")
        }
        SymphoniaError::Unsupported(what) => {
            format!("the {name} file has a feature that is not supported ({what}); convert it to WAV or FLAC first")
        }
        e => format!("not a valid {name} file ({e})"),
    }
}

/// The reason for a file whose samples cannot be decoded.
pub(super) fn damaged(name: &str, mono: &Mono, sample_rate: u32, error: &SymphoniaError) -> String {
    let seconds = mono.samples.len() as f64 / f64::from(sample_rate.max(1));
    match error {
        SymphoniaError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("the {name} file is truncated after {seconds:.2} s")
        }
        SymphoniaError::Unsupported(what) => {
            format!("the {name} file has a feature that is not supported ({what}); convert it to WAV or FLAC first")
        }
        e => format!("the {name} file is damaged after {seconds:.2} s ({e})"),
    }
}
