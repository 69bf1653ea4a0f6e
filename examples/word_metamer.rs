//! Makes the metamer of a sound and prints how well it does: `word_metamer [SOUND.wav] [STAGE] [RECIPE] [SECONDS] [FOLDER]`.
//!
//! Stage `cochleagram` inverts the cochleagram alone; the others are those of the shipped word network.

use metamers::hearing::Cochleagram;
use metamers::prelude::{networks::*, *};

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let word = |i: usize, other: &str| given.get(i).cloned().unwrap_or_else(|| other.into());
    let sound = Sound::open(word(0, "speech/seven.wav"))?.prepare(20_000, 40_000)?;
    let (stage, recipe) = (word(1, "cochleagram"), Recipe::by_name(&word(2, "fast_sound"))?);
    let seconds = word(3, "30").parse().map_err(|_| Error::invalid("seconds", "must be a number"))?;
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
    if let Some(folder) = given.get(4) {
        metamer.save(format!("{folder}/metamer.wav"))?;
        metamer.save(format!("{folder}/metamer.html"))?;
        metamer.save(format!("{folder}/metamer.png"))?;
        sound.save(format!("{folder}/original.wav"))?;
        sound.save(format!("{folder}/original.png"))?;
    }
    Ok(())
}
