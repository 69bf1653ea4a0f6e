//! Tools that make metamers by hand: [`Explorer`] in a notebook, and pages that run in a browser.
//!
//! [`Explorer::page`] writes one HTML file with the network, some originals and this library as WebAssembly. Whoever opens it chooses an
//! original (one of the page's, a file, the camera, the microphone), a stage and a seed, watches the synthesis, and saves the metamer.
//! Nothing is installed, nothing leaves the machine, and with the same recipe and seed the result is the one of a notebook, up to the last
//! digits where the browser or the processor has no fused multiply-add.
//!
//! ```no_run
//! use metamers::prelude::*;
//!
//! Explorer::page(&zoo::efficientnet_lite0()?)?.export("make_a_metamer.html")?;
//! # Ok::<(), metamers::Error>(())
//! ```

mod content;
mod live;
mod page;
mod sources;

pub use live::Explorer;
pub use page::ExplorerPage;

use crate::Result;
use crate::network::Network;

impl Explorer {
    /// A page that makes metamers of a shipped network, with eight of the shipped photos or recordings as originals.
    ///
    /// # Errors
    /// When the network does not ship with the project, or a shipped file is missing.
    pub fn page(network: &Network) -> Result<ExplorerPage> {
        ExplorerPage::new(network)
    }
}
