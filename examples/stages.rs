//! Draws photos and their metamers at several stages: the first figure of the README.
//!
//! Run: `cargo run --release --example stages -- metamers.png`

use metamers::prelude::{plots::*, *};

const STAGES: [&str; 5] = ["stem", "block2", "block5", "block10", "logits"];

fn main() -> metamers::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "metamers.png".into());
    let net = zoo::efficientnet_lite0()?;
    let mut figure =
        Figure::new("Photos and their metamers: from the first stage to the last, less and less is recognisable");
    for photo in ["dog", "red_panda"] {
        let photo = Image::open(format!("photos/{photo}.jpg"))?;
        let original = net.classify(&photo, 1)?;
        let mut panels = vec![Panel::from(&net.prepare(&photo)?).caption(format!("network: {}", original.top().name))];
        for stage in STAGES {
            let mut run = Synthesis::new(&net, stage, &photo)?.seed(1).quiet().start()?;
            // At 20 dB a metamer of the stem is still paler than its photo.
            let goal = if stage == "stem" { 40.0 } else { 20.0 };
            eprintln!("{} at {stage}: {}", photo.name(), run.until(goal)?);
            let metamer = run.finish()?;
            let answer = metamer.metamer_class().map_or(String::new(), |c| c.top().name.clone());
            let snr = metamer.similarity().snr_db.unwrap_or(f64::NAN);
            let image = metamer.stimulus().clone().with_name(stage);
            panels.push(Panel::from(&image).caption(format!("network: {answer}\nSNR {snr:.0} dB")));
        }
        figure = figure.row(panels);
    }
    figure.export(path)
}
