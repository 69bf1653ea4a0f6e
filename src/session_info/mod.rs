//! What it takes to run a notebook again: versions, machine, and what its runs were made with.
//!
//! One call at the end of a notebook, [`provenance`], says it all, for a person and as JSON. A single metamer carries the same in its
//! [`Provenance`](crate::synthesis::Provenance), and [`Metamer::reproduce`](crate::synthesis::Metamer::reproduce) puts it to the test.
//!
//! ```
//! let here = metamers::session_info::session_info();
//! assert_eq!(here.metamers, env!("CARGO_PKG_VERSION"));
//! assert!(here.to_string().contains("processor"));
//! assert!(here.json().contains("\"threads\""));
//! ```

mod date;
mod machine;
mod session;

pub use session::NetworkUse;
pub(crate) use session::note_run;

use serde::Serialize;

use crate::display::{MimeBundle, Show, escape};
use crate::engine::Isa;

/// The library, the machine and the session at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Version of metamers.
    pub metamers: String,
    /// The git commit of the project's folder, with "and changes" when files of the library differ from it; `None` outside of a
    /// clone.
    pub commit: Option<String>,
    /// Version of candle.
    pub candle: String,
    /// What `rustc --version` says; `None` where it is not found.
    pub rust: Option<String>,
    /// The operating system and its architecture.
    pub system: String,
    /// The processor's name, where the system tells it.
    pub processor: Option<String>,
    /// The instruction set that networks run with. Another one gives other last bits.
    pub instructions: String,
    /// Threads that a synthesis may use. Their number never changes a bit.
    pub threads: usize,
    /// The networks that this session has made metamers with, in the order of their first run.
    pub networks: Vec<NetworkUse>,
    /// When this was asked, in UTC.
    pub date: String,
}

/// What it takes to run this notebook again; see [`SessionInfo`].
pub fn session_info() -> SessionInfo {
    SessionInfo {
        metamers: env!("CARGO_PKG_VERSION").into(),
        commit: machine::commit(),
        candle: crate::synthesis::CANDLE.into(),
        rust: machine::rust(),
        system: machine::system(),
        processor: machine::processor(),
        instructions: Isa::best().to_string(),
        threads: rayon::current_num_threads(),
        networks: session::networks(),
        date: date::now(),
    }
}

impl SessionInfo {
    /// All of it as JSON, with the recipes in full.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl std::fmt::Display for SessionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unknown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
        let threads = if self.threads == 1 { "1 thread".into() } else { format!("{} threads", self.threads) };
        writeln!(f, "metamers   {}, commit {}", self.metamers, unknown(&self.commit))?;
        writeln!(f, "candle     {}", self.candle)?;
        writeln!(f, "Rust       {}", unknown(&self.rust))?;
        writeln!(f, "system     {}", self.system)?;
        writeln!(f, "processor  {}, {}, {threads}", unknown(&self.processor), self.instructions)?;
        for used in &self.networks {
            writeln!(f, "network    {used}")?;
        }
        write!(f, "date       {}", self.date)
    }
}

impl Show for SessionInfo {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let (text, json) = (self.to_string(), self.json());
        let html = format!(
            "<pre>{}</pre>\n<details><summary>as JSON</summary>\n<pre>{}</pre>\n</details>",
            escape(&text),
            escape(&json)
        );
        vec![MimeBundle::text(text).html(html)]
    }
}

crate::show_in_notebooks!(SessionInfo);
