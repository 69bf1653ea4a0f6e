//! Compares `natural_prior`, `near_start` and `feather2023` by transfer: the proportion of metamers that another network recognises at equal SNR.
//!
//! Run: `cargo run --release --example judged_by_another -- [PHOTOS] [SNR_DB] [STAGE,STAGE] [RECIPE,RECIPE]`
//!
//! Metamers of EfficientNet-Lite0 for the first PHOTOS photos that both networks classify correctly, stopped at the same
//! signal-to-noise ratio, are classified by EfficientNet-Lite1 (`cargo lab --fetch` downloads it).

use metamers::prelude::{networks::*, *};

const STAGES: &str = "block2,block5,block10,features";
const RECIPES: &str = "natural_prior,near_start,feather2023";
/// Evaluations at most, of which `feather2023` distributes its blocks.
const STEPS: usize = 800;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let number = |argument: Option<String>, other: f64| argument.map_or(Ok(other), |text| text.parse::<f64>());
    let wrong = |e: std::num::ParseFloatError| Error::invalid("argument", e.to_string());
    let count = number(arguments.next(), 20.0).map_err(wrong)? as usize;
    let snr_db = number(arguments.next(), 8.0).map_err(wrong)?;
    let stages = arguments.next().unwrap_or(STAGES.into());
    let recipes = arguments.next().unwrap_or(RECIPES.into());
    let net = zoo::efficientnet_lite0()?;
    let judge = zoo::efficientnet_lite1_from("optional/efficientnet_lite1.safetensors")?;
    let mut photos = vec![];
    for photo in &shipped_photos()? {
        let image = Image::open(photo)?;
        let is_correct =
            |net: &Network| -> Result<bool> { Ok(photo.classes().contains(&net.classify(&image, 1)?.top().name)) };
        if photos.len() < count && is_correct(&net)? && is_correct(&judge)? {
            photos.push(image);
        }
    }
    println!("{} photos, {snr_db} dB", photos.len());
    let mut metamers = vec![];
    for name in recipes.split(',') {
        let recipe = Recipe::by_name(name)?.steps(STEPS);
        for stage in stages.split(',') {
            let (mut reached, mut evaluations, mut snr) = (0, 0, 0.0);
            for photo in &photos {
                let mut run = Synthesis::new(&net, stage, photo)?.recipe(recipe.clone()).quiet().start()?;
                run.until(snr_db)?;
                let metamer = run.finish()?;
                let found = metamer.similarity().snr_db.unwrap_or(f64::NEG_INFINITY);
                if found >= snr_db {
                    (reached, evaluations, snr) = (reached + 1, evaluations + run.evaluations(), snr + found);
                    metamers.push(metamer);
                }
            }
            let mean = |sum: f64| sum / f64::from(reached.max(1));
            println!(
                "{} at {stage}: {reached} reached the SNR, after {:.0} evaluations, mean SNR {:.1} dB",
                recipe.name,
                mean(evaluations as f64),
                mean(snr)
            );
        }
    }
    let matrix = CrossNetwork::new(&metamers, &[net, judge])?;
    matrix.show();
    Ok(())
}
