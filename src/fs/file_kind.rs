//! Formats of files, told by their first bytes.

/// The format of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A WAV file (RIFF, RF64 or BW64).
    Wav,
    /// A sound in a format that is decoded, with its name.
    Sound(&'static str),
    /// An image in a format that is decoded, with its name.
    Image(&'static str),
    /// A description of a sound in a format that is not decoded.
    OtherSound(&'static str),
    /// A description of an image in a format that is not decoded.
    OtherImage(&'static str),
    /// A description of a video.
    Video(&'static str),
    /// A description of a file of another kind, such as a page or an archive.
    Other(&'static str),
    /// A file that has none of the known signatures.
    Unknown,
}

use FileKind::{Image, Other, OtherImage, OtherSound, Sound, Unknown, Video, Wav};

/// Signatures at fixed offsets.
const SIGNATURES: &[(usize, &[u8], FileKind)] = &[
    (0, b"fLaC", Sound("FLAC")),
    (8, b"AIFF", Sound("AIFF")),
    (8, b"AIFC", Sound("AIFF")),
    (0, b"\x89PNG", Image("PNG")),
    (0, b"\xFF\xD8", Image("JPEG")),
    (8, b"WEBPVP8", Image("WebP")),
    (0, b"GIF8", Image("GIF")),
    (0, b"II*\0\x10\0\0\0CR", OtherImage("a camera raw photo (CR2)")),
    (0, b"II*\0", Image("TIFF")),
    (0, b"MM\0*", Image("TIFF")),
    (0, b"II+\0", OtherImage("a BigTIFF image")),
    (0, b"MM\0+", OtherImage("a BigTIFF image")),
    (4, b"ftypheic", OtherImage("a HEIC photo")),
    (4, b"ftypheix", OtherImage("a HEIC photo")),
    (4, b"ftypheim", OtherImage("a HEIC photo")),
    (4, b"ftypheis", OtherImage("a HEIC photo")),
    (4, b"ftyphevc", OtherImage("a HEIC photo")),
    (4, b"ftyphevx", OtherImage("a HEIC photo")),
    (4, b"ftypmif1", OtherImage("a HEIF photo")),
    (4, b"ftypmsf1", OtherImage("a HEIF photo")),
    (4, b"ftypavif", OtherImage("an AVIF image")),
    (4, b"ftypavis", OtherImage("an AVIF image")),
    (4, b"ftypcrx ", OtherImage("a camera raw photo (CR3)")),
    (0, b"FUJIFILMCCD-RAW", OtherImage("a camera raw photo (RAF)")),
    (0, b"IIU\0", OtherImage("a camera raw photo (RW2)")),
    (0, b"IIRO", OtherImage("a camera raw photo (ORF)")),
    (0, b"\0\0\0\x0CJXL \r\n", OtherImage("a JPEG XL image")),
    (0, b"\xFF\x0A", OtherImage("a JPEG XL image")),
    (0, b"\0\0\0\x0CjP  \r\n", OtherImage("a JPEG 2000 image")),
    (0, b"\xFF\x4F\xFF\x51", OtherImage("a JPEG 2000 image")),
    (0, b"8BPS", OtherImage("a Photoshop document")),
    (0, b"gimp xcf", OtherImage("a GIMP image")),
    (0, b"\0\0\x01\0", OtherImage("an icon (ICO)")),
    (0, b"qoif", OtherImage("a QOI image")),
    (0, b"v/1\x01", OtherImage("an OpenEXR image")),
    (0, b"#?RADIANCE", OtherImage("a Radiance HDR image")),
    (0, b"DDS ", OtherImage("a DDS texture")),
    (0, b"#!AMR", OtherSound("an AMR recording")),
    (0, b"caff", OtherSound("a Core Audio (CAF) file")),
    (0, b".snd", OtherSound("an AU sound")),
    (0, b"MThd", Other("a MIDI file, which has notes instead of samples")),
    (0, b"\x0B\x77", OtherSound("an AC-3 sound")),
    (0, b"wvpk", OtherSound("a WavPack sound")),
    (0, b"MAC ", OtherSound("a Monkey's Audio sound")),
    (0, b"TTA1", OtherSound("a True Audio sound")),
    (0, b"MPCK", OtherSound("a Musepack sound")),
    (0, b"MP+", OtherSound("a Musepack sound")),
    (0, b"DSD ", OtherSound("a DSD sound")),
    (0, b"RIFX", OtherSound("a big-endian WAV file (RIFX)")),
    (0, b"riff\x2E\x91\xCF\x11", OtherSound("a Wave64 sound")),
    (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", OtherSound("a Windows Media file (WMA or WMV)")),
    (0, b"\x1A\x45\xDF\xA3", Video("a video (Matroska or WebM)")),
    (8, b"AVI ", Video("a video (AVI)")),
    (0, b"FLV\x01", Video("a Flash video")),
    (0, b"\0\0\x01\xBA", Video("an MPEG video")),
    (0, b"\0\0\x01\xB3", Video("an MPEG video")),
    (0, b"%PDF", Other("a PDF document")),
    (0, b"%!PS", Other("a PostScript document")),
    (0, b"PK\x03\x04", Other("a ZIP archive; unpack it first")),
    (0, b"\x1F\x8B", Other("a gzip archive; unpack it first")),
    (0, b"7z\xBC\xAF\x27\x1C", Other("a 7-Zip archive; unpack it first")),
    (0, b"Rar!", Other("a RAR archive; unpack it first")),
    (0, b"\x93NUMPY", Other("a numpy array")),
    (0, b"\x89HDF", Other("an HDF5 file")),
    (
        0,
        b"version https://git-lfs",
        Other("a pointer of Git LFS instead of the file; fetch the file with `git lfs pull`"),
    ),
    (0, b"\x7FELF", Other("a program")),
];

impl FileKind {
    /// Tells the format by the first bytes of a file; the name's extension does not count.
    pub fn detect(bytes: &[u8]) -> Self {
        if [b"RIFF", b"RF64", b"BW64"].iter().any(|id| bytes.starts_with(*id))
            && (bytes.len() < 12 || &bytes[8..12] == b"WAVE")
        {
            return Wav;
        }
        // Tags of music players precede MP3, and sometimes FLAC.
        let tag = id3_length(bytes);
        let bytes = &bytes[tag.min(bytes.len())..];
        let fixed = SIGNATURES
            .iter()
            .find(|(at, signature, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(signature)));
        match fixed {
            Some((_, _, kind)) => *kind,
            None if bytes.starts_with(b"OggS") => ogg(bytes),
            None if bytes.get(4..8) == Some(b"ftyp") => Sound("MP4"),
            None if [b"moov", b"mdat", b"free", b"wide"].iter().any(|id| bytes.get(4..8) == Some(*id)) => Sound("MP4"),
            None if bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]) => Image("BMP"),
            None if is_adts(bytes) => Sound("AAC"),
            None if is_mpeg_audio(bytes, LAYER_III) => Sound("MP3"),
            None if is_mpeg_audio(bytes, LAYER_II) => OtherSound("an MP2 sound"),
            // Some encoders write zeros between the tag and the first frame.
            None if tag > 0 => Sound("MP3"),
            None => text(bytes),
        }
    }

    /// The reason why this is not opened as a sound.
    pub fn not_a_sound(self) -> String {
        match self {
            Image(name) => format!("the file is not a sound but an image ({name}); open it with Image::open"),
            OtherImage(description) | Other(description) => format!("the file is not a sound but {description}"),
            OtherSound(description) => {
                format!("the file is {description}, which is not supported: convert it to WAV or FLAC first")
            }
            Video(description) => {
                format!("the file is {description}, which is not supported: extract its sound as WAV or FLAC first")
            }
            _ => "not a valid sound file; supported formats are WAV, FLAC, AIFF, Ogg Vorbis, MP3 and M4A (AAC)".into(),
        }
    }

    /// The reason why this is not opened as an image.
    pub fn not_an_image(self) -> String {
        match self {
            Wav => Sound("WAV").not_an_image(),
            Sound("MP4") => {
                "the file is not an image but a video or a sound (MP4): export a frame of a video as PNG".into()
            }
            Sound(name) => format!("the file is not an image but a sound ({name}); open it with Sound::open"),
            OtherImage(description) if description.contains("photo") => {
                format!("the file is {description}, which is not supported: export it as JPEG")
            }
            OtherImage(description) => {
                format!("the file is {description}, which is not supported: export it as PNG or JPEG")
            }
            Video(description) => format!("the file is not an image but {description}: export a frame as PNG"),
            OtherSound(description) | Other(description) => format!("the file is not an image but {description}"),
            _ => "not a valid image; supported formats are PNG, JPEG, WebP, GIF, BMP and TIFF".into(),
        }
    }
}

/// The length of an ID3v2 tag at the start; 0 without one.
fn id3_length(bytes: &[u8]) -> usize {
    match bytes {
        [b'I', b'D', b'3', _, _, _, a, b, c, d, ..] => {
            // Seven bits per byte.
            10 + [a, b, c, d].iter().fold(0, |size, byte| (size << 7) | usize::from(*byte & 0x7F))
        }
        _ => 0,
    }
}

/// The codec in the first packet of an Ogg file.
fn ogg(bytes: &[u8]) -> FileKind {
    let start = &bytes[..bytes.len().min(512)];
    let contains = |signature: &[u8]| start.windows(signature.len()).any(|window| window == signature);
    if contains(b"OpusHead") {
        OtherSound("an Opus sound")
    } else if contains(b"Speex   ") {
        OtherSound("a Speex sound")
    } else if contains(b"\x80theora") {
        Video("a video (Ogg Theora)")
    } else {
        Sound("Ogg")
    }
}

/// Returns whether the bytes start with a frame of raw AAC (ADTS): a sync word with layer 0.
fn is_adts(bytes: &[u8]) -> bool {
    matches!(bytes, [0xFF, second, third, ..] if second & 0xF6 == 0xF0 && (third >> 2) & 0xF < 13)
}

const LAYER_III: u8 = 1;
const LAYER_II: u8 = 2;

/// Returns whether the bytes start with a frame of MPEG audio of this layer, with valid fields.
fn is_mpeg_audio(bytes: &[u8], layer: u8) -> bool {
    let &[0xFF, second, third, ..] = bytes else { return false };
    let (version, bit_rate, sample_rate) = ((second >> 3) & 3, third >> 4, (third >> 2) & 3);
    second & 0xE0 == 0xE0
        && version != 1
        && (second >> 1) & 3 == layer
        && !matches!(bit_rate, 0 | 15)
        && sample_rate != 3
}

/// Text formats.
fn text(bytes: &[u8]) -> FileKind {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)])
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        Other("a web page (HTML); download the file itself")
    } else if start.starts_with("<svg") || (start.starts_with("<?xml") && start.contains("<svg")) {
        OtherImage("a vector graphic (SVG)")
    } else if start.starts_with("<?xml") {
        Other("an XML file")
    } else if start.starts_with('{') && start.contains('"') {
        Other("a JSON file")
    } else {
        Unknown
    }
}
