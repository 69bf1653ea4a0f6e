//! Files: the shipped assets, atomic writes, extensions, hashes, and WAV.

pub(crate) mod assets;
pub(crate) mod atomic;
pub(crate) mod extension;
pub(crate) mod sha256;
pub(crate) mod wav;
