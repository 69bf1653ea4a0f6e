//! Files: shipped assets, atomic writes, extensions, SHA-256 and WAV.

pub(crate) mod assets;
pub(crate) mod atomic;
pub(crate) mod extension;
pub(crate) mod sha256;
mod strays;
pub(crate) mod wav;
