//! The chunks of WAV files: RIFF, RF64 and BW64.

/// The samples of a WAV file before decoding.
#[derive(Debug)]
pub(super) struct WavFile<'a> {
    pub format: WavFormat,
    /// The samples, interleaved; a whole number of frames.
    pub data: &'a [u8],
}

/// The `fmt ` chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WavFormat {
    /// The registered format tag; that of the sub-format for an extensible header.
    pub tag: u16,
    pub channels: u16,
    pub sample_rate: u32,
    /// Bytes per frame, which is one sample of each channel.
    pub block_align: u16,
    /// Bits per sample. PCM is left-aligned in whole bytes, so decoding needs only [`WavFormat::bytes_per_sample`].
    pub bits: u16,
}

/// The tags of the formats that are decoded.
pub(super) mod tag {
    pub const PCM: u16 = 1;
    pub const FLOAT: u16 = 3;
    pub const A_LAW: u16 = 6;
    pub const MU_LAW: u16 = 7;
    pub const EXTENSIBLE: u16 = 0xFFFE;
}

/// The bytes after the format tag in the sub-format of an extensible header (KSDATAFORMAT_SUBTYPE, and ambisonic B-format).
const SUB_FORMATS: [[u8; 14]; 2] = [
    [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71],
    [0, 0, 0x21, 7, 0xD3, 0x11, 0x86, 0x44, 0xC8, 0xC1, 0xCA, 0, 0, 0],
];

/// Chunks that follow one of odd length without the pad byte that the format requires.
const KNOWN_CHUNKS: [&[u8; 4]; 14] = [
    b"data", b"fmt ", b"LIST", b"fact", b"PEAK", b"bext", b"cue ", b"smpl", b"inst", b"iXML", b"id3 ", b"JUNK",
    b"junk", b"acid",
];

const HEADER_BYTES: usize = 12;

impl<'a> WavFile<'a> {
    /// Reads the chunks of a file that starts with `RIFF`, `RF64` or `BW64`. The error is the reason.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        if bytes.get(8..HEADER_BYTES) != Some(b"WAVE") {
            return Err("the file is truncated: it ends within the header of a WAV file".into());
        }
        let (mut format, mut data, mut data64) = (None, None, None);
        let mut at = HEADER_BYTES;
        while let Some(Chunk { id, size, body }) = Chunk::read(bytes, at) {
            let content = &bytes[body..bytes.len().min(body.saturating_add(size as usize))];
            match &id {
                b"fmt " if format.is_none() => format = Some(WavFormat::parse(content)?),
                b"ds64" => data64 = content.get(8..16).map(u64_at),
                b"data" if data.is_none() => data = Some((body, data64.filter(|_| size == u32::MAX), size)),
                _ => {}
            }
            let size = match (&id, data) {
                (b"data", Some((start, size64, _))) if start == body => size64.unwrap_or(u64::from(size)),
                _ => u64::from(size),
            };
            at = next_chunk(bytes, body, size);
        }
        let format = format.ok_or("the file is not a valid WAV file: it has no `fmt ` chunk")?;
        let (start, size64, size) = data.ok_or("the file is truncated: it has no `data` chunk")?;
        let data = match size64 {
            Some(size) => limited(&bytes[start..], size, format)?,
            None => limited(&bytes[start..], data_length(&bytes[start..], size), format)?,
        };
        Ok(Self { format, data: &data[..data.len() - data.len() % usize::from(format.block_align)] })
    }
}

struct Chunk {
    id: [u8; 4],
    size: u32,
    /// The offset of the content.
    body: usize,
}

impl Chunk {
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let header = bytes.get(at..at.checked_add(8)?)?;
        Some(Self { id: header[..4].try_into().ok()?, size: u32_at(&header[4..]), body: at + 8 })
    }
}

/// The offset of the chunk after the one with this content. Chunks of odd length are padded; some programs omit the pad byte.
fn next_chunk(bytes: &[u8], body: usize, size: u64) -> usize {
    let end = usize::try_from(size).ok().and_then(|size| body.checked_add(size)).unwrap_or(usize::MAX);
    let is_known =
        |at: usize| bytes.get(at..at.saturating_add(4)).is_some_and(|id| KNOWN_CHUNKS.iter().any(|k| *k == id));
    match size % 2 == 1 && (is_known(end.saturating_add(1)) || !is_known(end)) {
        true => end.saturating_add(1),
        false => end,
    }
}

/// The length of the samples, where the header of a file that was written to a pipe states a placeholder.
fn data_length(after: &[u8], size: u32) -> u64 {
    match size {
        // A file without samples can have further chunks.
        0 if chunks_fill(after) => 0,
        0 | 0x7FFF_F000..=0x8000_0000 | 0xFFFF_F000.. if u64::from(size) > after.len() as u64 || size == 0 => {
            after.len() as u64
        }
        size => size.into(),
    }
}

/// Returns whether the bytes are a sequence of chunks.
fn chunks_fill(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        match Chunk::read(bytes, at) {
            Some(chunk) if chunk.id.iter().all(|b| b.is_ascii_graphic() || *b == b' ') => {
                at = next_chunk(bytes, chunk.body, chunk.size.into());
            }
            _ => return false,
        }
    }
    at == bytes.len() || at == bytes.len() + 1
}

/// The first `size` bytes of `after`.
fn limited(after: &[u8], size: u64, format: WavFormat) -> Result<&[u8], String> {
    if size <= after.len() as u64 {
        return Ok(&after[..size as usize]);
    }
    let frame = u64::from(format.block_align);
    Err(format!(
        "the file is truncated: its header claims {} samples, but {} follow",
        size / frame,
        after.len() as u64 / frame
    ))
}

impl WavFormat {
    fn parse(chunk: &[u8]) -> Result<Self, String> {
        const NAME: &str = "the file is not a valid WAV file: its `fmt ` chunk";
        let at = |offset: usize| chunk.get(offset..offset + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let (Some(mut tag), Some(channels), Some(block_align), Some(bits)) = (at(0), at(2), at(12), at(14)) else {
            return Err(format!("{NAME} has {} bytes, expected at least 16", chunk.len()));
        };
        let mut valid = 0;
        if tag == tag::EXTENSIBLE {
            let (Some(valid_bits), Some(sub_tag), Some(family)) = (at(18), at(24), chunk.get(26..40)) else {
                return Err(format!("{NAME} has {} bytes, expected 40 for an extensible header", chunk.len()));
            };
            if !SUB_FORMATS.iter().any(|known| known == family) {
                return Err("the file is a WAV file of an unknown sub-format; convert it to 16-bit PCM first".into());
            }
            (tag, valid) = (sub_tag, valid_bits);
        }
        if channels == 0 {
            return Err(format!("{NAME} states 0 channels"));
        }
        let format = Self { tag, channels, sample_rate: u32_at(&chunk[4..8]), block_align, bits };
        format.checked(valid)
    }

    /// Checks the numbers. `valid` is the extensible header's number of valid bits, or 0.
    fn checked(self, valid: u16) -> Result<Self, String> {
        let Self { tag, channels, block_align, bits, .. } = self;
        let bytes = match tag {
            tag::PCM if valid > 32 || !(1..=32).contains(&bits) => {
                let bits = if valid > 32 { valid } else { bits };
                return Err(format!("{bits} bits per sample are not supported, expected 8, 16, 24 or 32"));
            }
            tag::PCM => bits.div_ceil(8),
            tag::FLOAT if matches!(bits, 32 | 64) => bits / 8,
            tag::FLOAT => return Err(format!("floats of {bits} bits are not supported, expected 32 or 64")),
            tag::A_LAW | tag::MU_LAW => 1,
            tag => {
                let codec = codec_name(tag);
                return Err(format!(
                    "the file is a WAV file with {codec}, which is not supported; convert it to 16-bit PCM first"
                ));
            }
        };
        if valid > 8 * bytes {
            return Err(format!("{valid} bits per sample do not fit the header's {} bits per sample", 8 * bytes));
        }
        // Readers disagree about such files: some go by the bits, some by the bytes.
        if usize::from(block_align) != usize::from(bytes) * usize::from(channels) {
            return Err(format!(
                "its header contradicts itself: {channels} channels of {bits} bits in {block_align} bytes; export the file again"
            ));
        }
        Ok(self)
    }

    /// Bytes per sample.
    pub fn bytes_per_sample(&self) -> u16 {
        self.block_align / self.channels
    }
}

/// The name of a codec that is not supported, from the registry of format tags (RFC 2361).
fn codec_name(tag: u16) -> String {
    let name = match tag {
        2 | 0x11 => "ADPCM compression",
        0x31 => "GSM 6.10 compression",
        0x40 | 0x45 | 0x64 | 0x65 => "G.726 or G.721 compression",
        0x50 => "MPEG audio",
        0x55 => "MP3 audio",
        0x00FF | 0x1600 | 0x1602 | 0x1610 => "AAC audio",
        0x0160..=0x0163 => "Windows Media Audio",
        0x566F | 0x674F..=0x6771 => "Ogg Vorbis audio",
        0x2000 => "AC-3 audio",
        _ => return format!("the compression number {tag:#06x}"),
    };
    name.into()
}

fn u32_at(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn u64_at(bytes: &[u8]) -> u64 {
    u64::from(u32_at(bytes)) | (u64::from(u32_at(&bytes[4..])) << 32)
}
