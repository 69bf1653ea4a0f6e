//! Makes the metamer of a sound and prints its signal-to-noise ratio over time; of several, the time to 20 dB.
//!
//! Run: `cargo run --release --example word_metamer -- [SOUND.wav,..] [STAGE,..] [RECIPE] [SECONDS] [FOLDER]`
//!
//! The stage `cochleagram` inverts the cochleagram alone; other stages are those of the shipped word network. A single metamer is also
//! saved to the folder.

use metamers::hearing::Cochleagram;
use metamers::prelude::*;

/// The ratio at which a run of several ends.
const MATCHED_DB: f64 = 20.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, other: &str| arguments.get(i).cloned().unwrap_or_else(|| other.into());
    let (sounds, stages) = (argument(0, "speech/seven.wav"), argument(1, "cochleagram"));
    let recipe = Recipe::by_name(&argument(2, "nearest_sound"))?;
    let seconds = argument(3, "30").parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = seconds.ok_or_else(|| Error::invalid("seconds", "must be a number that is not negative"))?;
    if !sounds.contains(',') && !stages.contains(',') {
        return one(&sounds, &stages, recipe, time, arguments.get(4).map(String::as_str));
    }
    for stage in stages.split(',') {
        for sound in sounds.split(',') {
            let mut run = start(sound, stage, &recipe)?.quiet();
            let spent = |run: &Run| run.history().last().map_or(0.0, |point| point.seconds);
            while run.snr_db().is_none_or(|snr| snr < MATCHED_DB) && spent(&run) < time.as_secs_f64() {
                match run.step(1)?.stop_reason {
                    StopReason::Steps => {}
                    StopReason::Interrupted => return Ok(()),
                    _ => break,
                }
            }
            let (snr, spent) = (run.snr_db().unwrap_or(f64::NAN), spent(&run));
            println!("{stage}, {sound}: {snr:.1} dB after {spent:.1} s, {} evaluations", run.evaluations());
        }
    }
    Ok(())
}

fn start(sound: &str, stage: &str, recipe: &Recipe) -> Result<Run> {
    let sound = Sound::open(sound)?.prepare(20_000, 40_000)?;
    let net =
        if stage == "cochleagram" { zoo::cochleagram(&Cochleagram::feather2023()?)? } else { zoo::cochcnn_words()? };
    Synthesis::new(&net, stage, &sound)?.recipe(recipe.clone()).start()
}

fn one(sound: &str, stage: &str, recipe: Recipe, time: Duration, folder: Option<&str>) -> Result<()> {
    let mut run = start(sound, stage, &recipe)?;
    run.run_for(time)?;
    let metamer = run.finish()?;
    let points = run.history();
    for mark in [10, 30, 100, 300, 1000, 3000] {
        if let Some(point) = points.get(mark - 1) {
            println!("{mark} evaluations, {:.1} s: {:.1} dB", point.seconds, point.snr_db);
        }
    }
    println!("{} evaluations, {:.1} s", points.len(), points.last().map_or(0.0, |p| p.seconds));
    metamer.show();
    if let Some(folder) = folder {
        let sound = Sound::open(sound)?.prepare(20_000, 40_000)?;
        metamer.sound()?.save(format!("{folder}/metamer.wav"))?;
        metamer.export(format!("{folder}/metamer.html"))?;
        metamer.export(format!("{folder}/metamer.png"))?;
        sound.save(format!("{folder}/original.wav"))?;
        sound.export(format!("{folder}/original.png"))?;
    }
    Ok(())
}
