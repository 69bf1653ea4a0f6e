//! Recognition of files of other kinds, which users save or rename by mistake.

use super::state_dict::listed;

/// Number of bytes at the start in which text is looked for.
const HEAD: usize = 4096;

/// Signatures: offset, bytes, and the kind with advice.
const SIGNATURES: [(usize, &[u8], &str); 15] = [
    (0, b"\x89HDF\r\n\x1a\n", "is an HDF5 file (Keras, MATLAB); save the network's weights as safetensors"),
    (0, b"\x93NUMPY", "is an array of NumPy; save the network's weights as safetensors"),
    (0, b"GGUF", "is a GGUF file, the format of llama.cpp"),
    (4, b"TFL3", "is a network of TensorFlow Lite"),
    (0, b"\x1f\x8b", "is compressed by gzip; decompress it first"),
    (0, b"BZh", "is compressed by bzip2; decompress it first"),
    (0, b"\xfd7zXZ\0", "is compressed by xz; decompress it first"),
    (0, b"\x28\xb5\x2f\xfd", "is compressed by zstd; decompress it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; extract it first"),
    (0, b"Rar!", "is a RAR archive; extract it first"),
    (
        257,
        b"ustar",
        "is a tar archive, as PyTorch before 0.1.10 wrote or for downloads; extract it, or load it in PyTorch and save it again",
    ),
    (0, b"%PDF", "is a PDF document"),
    (0, b"\x89PNG", "is a PNG image"),
    (0, b"\xff\xd8\xff", "is a JPEG image"),
    (0, b"RIFF", "is a WAV or WebP file"),
];

/// The pickled integer `0x1950a86a20f9469cfc6c`, with which files of PyTorch before 1.6 begin.
const LEGACY: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// A description of a file that is neither safetensors nor a zip archive, with advice; `None` for other files.
pub(in crate::network) fn kind(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("is empty".into());
    }
    if is_safetensors(bytes) {
        return None;
    }
    if bytes[0] == 0x80 && bytes.get(1).is_some_and(|protocol| (1..=5).contains(protocol)) {
        return Some(pickle(bytes));
    }
    if let Some((.., kind)) =
        SIGNATURES.iter().find(|(at, magic, _)| bytes.get(*at..).is_some_and(|b| b.starts_with(magic)))
    {
        return Some((*kind).into());
    }
    let head = &bytes[..bytes.len().min(HEAD)];
    let head = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    text(head.trim_start_matches('\u{feff}').trim_start(), bytes.len())
}

/// Returns whether the file begins as safetensors do: with the size of its header, whose bytes may be those of any signature, and a brace.
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(4..9).is_some_and(|bytes| bytes == b"\0\0\0\0{")
}

/// A pickle that is in no archive.
fn pickle(bytes: &[u8]) -> String {
    if bytes[..bytes.len().min(32)].windows(LEGACY.len()).any(|window| window == LEGACY) {
        return "is in the format of PyTorch before 1.6, which only PyTorch can read; load it in PyTorch and save it again with \
                torch.save(torch.load(file, map_location=\"cpu\"), file)"
            .into();
    }
    "is a Python pickle without PyTorch's archive around it; load it in Python and save the state dict with torch.save"
        .into()
}

/// A text file, from its start.
fn text(head: &str, size: usize) -> Option<String> {
    let lower = head.to_ascii_lowercase();
    if let Some(pointer) = head.strip_prefix("version https://git-lfs") {
        let stated = pointer.lines().find_map(|line| line.strip_prefix("size ")).unwrap_or("unknown");
        return Some(format!(
            "is a git-lfs pointer to a file of {} bytes, not the file itself; run `git lfs pull` in its repository, or download the file",
            stated.trim().chars().take(20).collect::<String>()
        ));
    }
    if ["<!doctype html", "<html", "<head"].iter().any(|tag| lower.starts_with(tag)) {
        let title = lower.find("<title>").and_then(|start| {
            let title = &head[start + "<title>".len()..];
            Some(title[..title.find('<')?].trim())
        });
        let title =
            title.map_or_else(String::new, |title| format!(" (\"{}\")", title.chars().take(80).collect::<String>()));
        return Some(format!(
            "is an HTML page{title}, not weights: the server sent a page instead of the file; download it in a browser, or with its direct link"
        ));
    }
    let start: String = head.lines().next().unwrap_or_default().chars().take(60).collect();
    let described = |kind: &str| {
        Some(format!("is {kind} that begins with \"{}\", not weights; download the file again", start.trim()))
    };
    match head.as_bytes().first()? {
        b'<' => described("an XML or HTML text"),
        b'{' if lower.contains("\"weight_map\"") => Some(
            "is the index of weights in several files; join them: safetensors.torch.save_file of all their tensors"
                .into(),
        ),
        b'{' | b'[' => described("a JSON text"),
        _ => {
            let is_text = |c: char| !c.is_control() || c.is_whitespace();
            // The first bytes of a safetensors file are a number with zeros.
            (head.len() >= size.min(16) && head.chars().all(is_text) && !head.starts_with("PK"))
                .then(|| described("a text"))?
        }
    }
}

/// Returns whether a zip archive holds a program of TorchScript.
pub(super) fn is_torchscript(names: &[String]) -> bool {
    names.iter().any(|name| name.ends_with("/constants.pkl")) && names.iter().any(|name| name.contains("/code/"))
}

/// A description of a zip archive without a state dict, from the names of its entries.
pub(super) fn zip_content(names: &[String]) -> String {
    let ends = |extensions: &[&str]| names.iter().find(|name| extensions.iter().any(|e| name.ends_with(e)));
    if is_torchscript(names) {
        return "is a program of TorchScript; load it with torch.jit.load in PyTorch, and save its state dict with torch.save".into();
    }
    if let Some(inner) = ends(&[".pth", ".pt", ".pth.tar", ".ckpt", ".safetensors"]) {
        return format!("is a zip archive that holds {inner}; extract it first");
    }
    let kind = match names {
        [] => "is an empty zip archive",
        _ if names.iter().any(|name| name == "[Content_Types].xml") => "is an Office document",
        _ if ends(&[".weights.h5"]).is_some() => "is a network of Keras",
        _ if names.iter().all(|name| name.ends_with(".npy")) => "is an archive of NumPy arrays (.npz)",
        _ => "is a zip archive of something else",
    };
    let entries = if names.is_empty() {
        String::new()
    } else {
        format!(" (entries: {})", listed(names.iter().map(String::as_str)))
    };
    format!(
        "{kind}{entries}, without the data.pkl of PyTorch's checkpoints; save the state dict with torch.save or as safetensors"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_length_of_a_safetensors_header_is_taken_for_another_kind() {
        for length in 0..1u64 << 17 {
            let start = [&length.to_le_bytes()[..], b"{\"a\":"].concat();
            assert_eq!(kind(&start), None, "{length}");
        }
    }
}
