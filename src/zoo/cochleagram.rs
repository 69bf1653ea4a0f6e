//! The cochleagram alone, as a network.

use crate::Result;
use crate::hearing::Cochleagram;
use crate::network::{Builder, Input, Layer, Network};

/// A network with the single stage `cochleagram`: a synthesis at that stage reconstructs a waveform from a cochleagram.
///
/// ```
/// use metamers::hearing::Cochleagram;
/// use metamers::prelude::*;
///
/// let net = zoo::cochleagram(&Cochleagram::feather2023()?)?;
/// assert_eq!(net.stage("cochleagram")?.shape, [1, 211, 390]);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// None in practice; the `Result` comes from [`Builder`].
pub fn cochleagram(ear: &Cochleagram) -> Result<Network> {
    let mut builder = Builder::new("cochleagram", input(ear));
    let x = builder.layer(Layer::from_op(ear.clone()), &[builder.input()])?;
    builder.stage("cochleagram", x)?;
    builder.finish()
}

/// The waveforms that a cochleagram takes.
pub(super) fn input(ear: &Cochleagram) -> Input {
    Input::Sound { samples: ear.config().samples, sample_rate: ear.config().sample_rate }
}
