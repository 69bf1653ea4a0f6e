//! A network that consists of a cochleagram.

use crate::Result;
use crate::hearing::Cochleagram;
use crate::network::{Builder, Input, Network};

/// The input of a network that starts with this cochleagram.
pub(super) fn input(cochleagram: &Cochleagram) -> Input {
    let config = cochleagram.config();
    Input::Sound { samples: config.samples, sample_rate: config.sample_rate }
}

/// A network with one stage, `cochleagram`; a synthesis at that stage inverts a cochleagram to a waveform.
///
/// ```
/// use metamers::prelude::{networks::*, *};
///
/// let net = zoo::cochleagram(&Cochleagram::feather2023()?)?;
/// assert_eq!(net.stage("cochleagram")?.shape, [1, 211, 390]);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// Infallible for a valid cochleagram; the `Result` comes from the builder.
pub fn cochleagram(cochleagram: &Cochleagram) -> Result<Network> {
    let mut builder = Builder::new("cochleagram", input(cochleagram));
    let x = builder.layer(cochleagram.clone(), &[builder.input()])?;
    builder.stage("cochleagram", x)?;
    builder.finish()
}
