//! Session information for reproducibility: versions, machine, and the networks, recipes and seeds of the session's runs.
//!
//! [`session_info`], called at the end of a notebook, returns it as text and as JSON. A single metamer carries the same
//! information in its [`Provenance`](crate::synthesis::Provenance), and
//! [`Metamer::reproduce`](crate::synthesis::Metamer::reproduce) repeats its synthesis.
//!
//! ```
//! let info = metamers::session_info::session_info();
//! assert_eq!(info.metamers, env!("CARGO_PKG_VERSION"));
//! assert!(info.to_string().contains("processor"));
//! assert!(info.to_json().contains("\"threads\""));
//! ```

mod date;
mod machine;

pub use crate::synthesis::session_log::NetworkUse;

use serde::Serialize;

use crate::display::{MimeBundle, Show, escape};
use crate::engine::Isa;
use crate::parallel::threads;
use crate::synthesis::session_log;

/// The versions, the machine and the runs of this session.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The version of metamers.
    pub metamers: String,
    /// The git commit of the project's folder, with "and changes" if files of the library differ from it; `None` outside a clone.
    pub commit: Option<String>,
    /// The version of candle.
    pub candle: String,
    /// The output of `rustc --version`; `None` if rustc is not found.
    pub rust: Option<String>,
    /// The operating system and the architecture.
    pub system: String,
    /// The processor's name; `None` if the system does not report it.
    pub processor: Option<String>,
    /// The instruction set of compiled networks, which affects the last bits of results.
    pub instructions: String,
    /// The number of threads of a synthesis, which does not affect results.
    pub threads: usize,
    /// The networks of this session's runs, in the order of their first run.
    pub networks: Vec<NetworkUse>,
    /// The date and time of the call, in UTC.
    pub date: String,
}

/// Returns the versions, the machine and the runs of this session; see [`SessionInfo`].
#[must_use]
pub fn session_info() -> SessionInfo {
    SessionInfo {
        metamers: env!("CARGO_PKG_VERSION").into(),
        commit: machine::commit(),
        candle: crate::synthesis::CANDLE_VERSION.into(),
        rust: machine::rust(),
        system: machine::system(),
        processor: machine::processor(),
        instructions: Isa::describe_selected(),
        threads: threads(),
        networks: session_log::networks(),
        date: date::now(),
    }
}

impl SessionInfo {
    /// Returns the session information as JSON, with the complete recipes.
    #[must_use]
    pub fn to_json(&self) -> String {
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
        let (text, json) = (self.to_string(), self.to_json());
        let html = format!(
            "<pre>{}</pre>\n<details><summary>as JSON</summary>\n<pre>{}</pre>\n</details>",
            escape(&text),
            escape(&json)
        );
        vec![MimeBundle::text(text).html(html)]
    }
}

crate::show_in_notebooks!(SessionInfo);
