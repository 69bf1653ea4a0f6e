//! Makes the shipped null distributions: `cargo run --release --example nulls -- OUTPUT_FOLDER`.
//!
//! Vision networks: all pairs of the shipped photos. Hearing networks: all pairs of the shipped recordings, 2 s around their
//! middle, at the level of the recipes for sounds.

use metamers::network::Input;
use metamers::prelude::*;
use std::collections::HashSet;
use std::path::PathBuf;

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).unwrap_or_else(|| "target/nulls".into()).into();
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let photos = shipped_photos()?;
    let networks = [
        zoo::efficientnet_lite0()?,
        zoo::cochcnn_words()?,
        zoo::cochcnn_words_hann()?,
        zoo::cochcnn_words_untrained()?,
        zoo::crepe_tiny()?,
    ];
    for net in networks {
        let mut null = NullDistribution::builder(&net);
        match net.input() {
            Input::Sound { .. } => {
                let mut words = HashSet::new();
                // Recordings of the same word are similar for a reason, not by chance.
                for recording in shipped_recordings()?.into_iter().filter(|r| words.insert(r.word().to_string())) {
                    null = null.stimulus(net.prepare_at_training_level(Sound::open(&recording)?)?)?;
                }
            }
            _ => {
                for photo in &photos {
                    null = null.stimulus(Image::open(photo)?)?;
                }
            }
        }
        let null = null.build()?;
        null.show();
        let name: String = net.name().to_lowercase().replace(['-', ' '], "_");
        null.save(folder.join(format!("{name}.json")))?;
    }
    Ok(())
}
