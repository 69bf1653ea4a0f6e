//! Signal-to-noise ratio against gradient evaluations and seconds, for each recipe, stage and photo, as Markdown.
//!
//! `cargo bench --bench recipes -- --recipes nearest,feather2023 --stages stem,block5 --photos dog --evaluations 200`

use metamers::prelude::*;
use metamers::synthesis::{Recipe, Stop, StopReason, Synthesis};
use metamers::verdict::WELL_MATCHED_DB;

/// The numbers of evaluations at which the SNR is printed.
const MARKS: [usize; 6] = [25, 50, 100, 200, 400, 800];

struct Options {
    recipes: Vec<String>,
    stages: Vec<String>,
    photos: Vec<String>,
    evaluations: usize,
}

fn options() -> Result<Options, String> {
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut options = Options {
        recipes: Recipe::presets().into_iter().map(|recipe| recipe.name).collect(),
        stages: list("stem,block2,block5,block10,features,logits"),
        photos: list("dog,espresso"),
        evaluations: 800,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        // Cargo passes `--bench` to every bench target.
        if argument == "--bench" {
            continue;
        }
        let value = arguments.next().ok_or(format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--recipes" => options.recipes = list(&value),
            "--stages" => options.stages = list(&value),
            "--photos" => options.photos = list(&value),
            "--evaluations" => {
                options.evaluations = value.parse().map_err(|e| format!("--evaluations {value}: {e}"))?;
            }
            _ => {
                return Err(format!(
                    "unknown option {argument}; the options are --recipes, --stages, --photos and --evaluations"
                ));
            }
        }
    }
    Ok(options)
}

/// One row of the table.
fn row(net: &Network, recipe: &Recipe, stage: &str, photo: &str, evaluations: usize) -> metamers::Result<String> {
    let image = Image::open(format!("photos/{photo}.jpg"))?;
    let recipe = recipe.clone().steps(evaluations);
    let mut run = Synthesis::new(net, stage, &image)?.recipe(recipe.clone()).quiet().start()?;
    let stop_reason = run.advance(Stop::evaluations(evaluations))?.stop_reason;
    let stopped_early = !matches!(stop_reason, StopReason::Evaluations | StopReason::Steps);
    let points = run.history();
    let mut cells = vec![recipe.name, stage.into(), photo.into()];
    for mark in MARKS {
        let best = points.iter().filter(|p| p.evaluation <= mark).map(|p| p.snr_db).fold(f64::NEG_INFINITY, f64::max);
        let reached = points.len() >= mark || stopped_early;
        cells.push(if reached { format!("{best:.1}") } else { String::new() });
    }
    let matched = points.iter().find(|p| p.snr_db >= WELL_MATCHED_DB).map(|p| p.evaluation.to_string());
    cells.push(matched.unwrap_or_else(|| "-".into()));
    let seconds = points.last().map_or(0.0, |p| p.seconds);
    cells.push(format!("{:.3}", seconds / points.len().max(1) as f64));
    cells.push(format!("{seconds:.1}"));
    Ok(format!("| {} |", cells.join(" | ")))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = options()?;
    let net = zoo::efficientnet_lite0()?;
    let marks = MARKS.map(|mark| format!("SNR at {mark}")).join(" | ");
    println!(
        "| recipe | stage | photo | {marks} | evaluations to {WELL_MATCHED_DB} dB | s per evaluation | s in total |"
    );
    println!("|{}", " --- |".repeat(MARKS.len() + 6));
    for recipe in &options.recipes {
        let recipe = Recipe::by_name(recipe)?;
        for stage in &options.stages {
            for photo in &options.photos {
                println!("{}", row(&net, &recipe, stage, photo, options.evaluations)?);
            }
        }
    }
    Ok(())
}
