//! Makes the metamer of a sound and prints its signal-to-noise ratio over time.
//!
//! Run: `cargo run --release --example word_metamer -- [SOUND.wav] [STAGE] [RECIPE] [SECONDS] [FOLDER]`
//!
//! The stage `cochleagram` inverts the cochleagram alone; other stages are those of the shipped word network.

use metamers::hearing::Cochleagram;
use metamers::prelude::*;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, other: &str| arguments.get(i).cloned().unwrap_or_else(|| other.into());
    let sound = Sound::open(argument(0, "speech/seven.wav"))?.prepare(20_000, 40_000)?;
    let (stage, recipe) = (argument(1, "cochleagram"), Recipe::by_name(&argument(2, "nearest_sound"))?);
    let seconds = argument(3, "30").parse().map_err(|_| Error::invalid("seconds", "must be a number"))?;
    let net =
        if stage == "cochleagram" { zoo::cochleagram(&Cochleagram::feather2023()?)? } else { zoo::cochcnn_words()? };
    let mut run = Synthesis::new(&net, &stage, &sound)?.recipe(recipe).start()?;
    run.run_for(Duration::from_secs_f64(seconds))?;
    let metamer = run.finish()?;
    let points = run.history();
    for mark in [10, 30, 100, 300, 1000, 3000] {
        if let Some(point) = points.get(mark - 1) {
            println!("{mark} evaluations, {:.1} s: {:.1} dB", point.seconds, point.snr_db);
        }
    }
    println!("{} evaluations, {:.1} s", points.len(), points.last().map_or(0.0, |p| p.seconds));
    metamer.show();
    if let Some(folder) = arguments.get(4) {
        metamer.sound()?.save(format!("{folder}/metamer.wav"))?;
        metamer.export(format!("{folder}/metamer.html"))?;
        metamer.export(format!("{folder}/metamer.png"))?;
        sound.save(format!("{folder}/original.wav"))?;
        sound.export(format!("{folder}/original.png"))?;
    }
    Ok(())
}
