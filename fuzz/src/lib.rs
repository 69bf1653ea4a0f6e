//! The readers of files that come from outside, each with bytes as its only input.
//!
//! A reader may refuse its input. It must not panic, overflow the stack, exhaust the memory or hang.

pub mod damage;

use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use metamers::experiment::analysis::Answers;
use metamers::network::{Checkpoint, Network, OnnxOptions};
use metamers::stimulus::{Image, Sound};
use metamers::sweep::Plan;
use metamers::synthesis::{Metamer, Run};
use metamers::verdict::NullDistribution;
use metamers::zoo;

/// A reader of one kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    pub name: &'static str,
    /// The extension of its files.
    pub extension: &'static str,
    open: fn(&Path) -> bool,
}

/// The network of the runs.
pub static NETWORK: LazyLock<Network> = LazyLock::new(|| zoo::efficientnet_lite0().expect("a shipped network"));

pub const READERS: [Reader; 10] = [
    Reader { name: "image", extension: "png", open: |path| Image::open(path).is_ok() },
    Reader { name: "sound", extension: "wav", open: |path| Sound::open(path).is_ok() },
    Reader { name: "safetensors", extension: "safetensors", open: |path| Checkpoint::open(path).is_ok() },
    Reader { name: "pth", extension: "pth", open: |path| Checkpoint::open(path).is_ok() },
    Reader { name: "onnx", extension: "onnx", open: |path| Network::from_onnx(path, OnnxOptions::default()).is_ok() },
    Reader { name: "metamer", extension: "metamer", open: |path| Metamer::open(path).is_ok() },
    Reader { name: "run", extension: "run", open: |path| Run::resume(path, &NETWORK).is_ok() },
    Reader { name: "null", extension: "json", open: |path| NullDistribution::open(path).is_ok() },
    Reader { name: "plan", extension: "toml", open: |path| Plan::open(path).is_ok() },
    Reader { name: "answers", extension: "json", open: |path| Answers::open(path).is_ok() },
];

impl Reader {
    /// The reader with this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        *READERS.iter().find(|reader| reader.name == name).expect("a known reader")
    }

    /// Reads a file with these bytes. Returns whether the reader accepts it.
    ///
    /// # Panics
    /// If the file cannot be written, or the reader panics: that is what fuzzing looks for.
    pub fn read(&self, bytes: &[u8]) -> bool {
        let mut file = tempfile::Builder::new().suffix(&format!(".{}", self.extension)).tempfile().expect("a file");
        file.write_all(bytes).expect("a written file");
        (self.open)(file.path())
    }
}
