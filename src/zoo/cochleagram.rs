//! A network that is a cochleagram alone.

use crate::Result;
use crate::hearing::Cochleagram;
use crate::network::{Builder, Input, Network};

/// The waveforms that a cochleagram takes, as the input of a network.
pub(super) fn input(cochleagram: &Cochleagram) -> Input {
    let config = cochleagram.config();
    Input::Sound { samples: config.samples, sample_rate: config.sample_rate }
}

/// A network of one stage, `cochleagram`: a synthesis at that stage makes a waveform from a cochleagram alone.
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
