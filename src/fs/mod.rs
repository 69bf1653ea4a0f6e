//! Files: reading, shipped assets, atomic writes, extensions, formats, SHA-256 and WAV.

pub(crate) mod assets;
pub(crate) mod atomic;
pub(crate) mod extension;
pub(crate) mod file_kind;
pub(crate) mod files;
pub(crate) mod sha256;
mod strays;
pub(crate) mod wav;
