//! Compares searches for the match nearest to a start: `Recipe::nearest` and variants of its search, from one seed, and other
//! recipes, all at 20 dB. For each it prints medians over photos: the rms distance from the start, the rms difference from the metamer of
//! `nearest`, and the cosine between the two changes of the start.
//!
//! Run: `cargo run --release --example ways_to_the_nearest -- 10 block2,block5`

use metamers::prelude::{recipes::*, *};
use metamers::synthesis::Norm;

const SNR_DB: f64 = 20.0;
const MAX_EVALUATIONS: usize = 2_000;

/// `nearest` with another optimizer.
fn variant(name: &str, change: impl FnOnce(&mut Lbfgs)) -> Recipe {
    let mut recipe = Recipe { name: name.into(), ..Recipe::nearest() };
    if let Optimizer::Lbfgs(lbfgs) = &mut recipe.optimizer {
        change(lbfgs);
    }
    recipe
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.first().and_then(|word| word.parse().ok()).unwrap_or(10);
    let stages = arguments.get(1).map_or("block2,block5", String::as_str);
    let net = zoo::efficientnet_lite0()?;
    let photos = shipped_photos()?;
    let every = (photos.len() / count).max(1);
    let photos: Vec<Image> = photos.iter().step_by(every).take(count).map(Image::open).collect::<Result<_>>()?;
    let recipes = [
        Recipe::nearest(),
        variant("nearest, memory of 40 pairs", |lbfgs| lbfgs.memory = 40),
        variant("nearest, no earlier stage", |lbfgs| lbfgs.earlier_steps = 0),
        variant("nearest, in pixels, no earlier stage", |lbfgs| {
            (lbfgs.earlier_steps, lbfgs.variables) = (0, Variables::Pixels);
        }),
        Recipe::near_start(),
        Recipe::natural_prior(),
    ];
    for stage in stages.split(',') {
        let make = |photo: &Image, recipe: &Recipe, seed: u64| -> Result<Option<Metamer>> {
            let mut run = Synthesis::new(&net, stage, photo)?.recipe(recipe.clone()).seed(seed).quiet().start()?;
            run.advance(Stop::snr(SNR_DB).or_evaluations(MAX_EVALUATIONS))?;
            let metamer = run.finish()?;
            Ok(Some(metamer).filter(|metamer| metamer.similarity().snr_db.is_some_and(|snr| snr >= SNR_DB - 0.05)))
        };
        let nearest = photos.iter().map(|photo| make(photo, &recipes[0], 0)).collect::<Result<Vec<_>>>()?;
        for (recipe, seed) in recipes.iter().map(|recipe| (recipe, 0)).chain([(&recipes[0], 1)]) {
            let mut rows = vec![];
            let mut evaluations = vec![];
            for (photo, nearest) in photos.iter().zip(&nearest) {
                let (Some(nearest), Some(made)) = (nearest, make(photo, recipe, seed)?) else { continue };
                rows.push(comparison(nearest, &made)?);
                evaluations.push(made.history().len() as f64);
            }
            let column = |index: usize| median(rows.iter().map(|row| row[index]).collect());
            println!(
                "{stage}, {}, seed {seed}: {} of {} photos, {:.0} evaluations, {:.4} from the start, {:.4} from nearest, cosine {:.3}",
                recipe.name,
                rows.len(),
                photos.len(),
                median(evaluations),
                column(0),
                column(1),
                column(2),
            );
        }
    }
    Ok(())
}

/// The rms distance of a metamer from its start, its rms difference from that of `nearest`, and the cosine between the changes of their
/// starts.
fn comparison(nearest: &Metamer, made: &Metamer) -> Result<[f64; 3]> {
    let change = |metamer: &Metamer| -> Result<Vec<f64>> {
        let (values, start) = (metamer.stimulus().values(), metamer.initial()?);
        Ok(values.iter().zip(start.values()).map(|(x, start)| f64::from(x - start)).collect())
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (a, b) = (change(nearest)?, change(made)?);
    let rms = |norm: f64| norm / (a.len() as f64).sqrt();
    let difference = Norm::L2.distance(nearest.stimulus().values(), made.stimulus().values());
    Ok([rms(dot(&b, &b).sqrt()), rms(difference), dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
