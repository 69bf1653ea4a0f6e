//! Notebook 8 with more seeds and images: cross-network recognition of metamers of networks trained on shape and on material.
//!
//! Run: `cargo run --release --example two_questions -- SEEDS IMAGES [RECIPE]`

use metamers::prelude::{training::*, *};

const STAGES: [&str; 5] = ["conv1", "conv2", "conv3", "mean", "logits"];

fn plan(name: &str, classes: &[String]) -> ConvNet {
    ConvNet::new(name, 48, classes.to_vec())
        .conv("conv1", 16, 5, 2)
        .conv("conv2", 32, 3, 2)
        .conv("conv3", 64, 3, 2)
        .conv("conv4", 64, 3, 1)
}

fn main() -> metamers::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: usize| arguments.next().and_then(|a| a.parse().ok()).unwrap_or(otherwise);
    let (seeds, count) = (number(3), number(30));
    let recipe = Recipe::by_name(&std::env::args().nth(3).unwrap_or_else(|| "natural_prior".into()))?;
    let cut_outs = Cutouts::new(48)?;
    let (images, held_out) = (cut_outs.generate(3000, 1)?, cut_outs.generate_held_out(300, 2)?);
    // Correct classifications and totals by generating network, stage and judging network, over all seeds.
    let mut sums = [[[(0, 0); 2]; STAGES.len()]; 3];
    for seed in 0..seeds as u64 {
        let trained = |name: &str, examples: Dataset, test: Dataset| -> metamers::Result<Network> {
            let mut run = Training::new(&plan(name, examples.classes()), examples, test)
                .seed(seed)
                .learning_rate(3e-3)
                .quiet()
                .start()?;
            println!("seed {seed}, {name}: {}", run.step(800)?);
            run.freeze()
        };
        let by_shape = trained("shape", images.by_shape()?, held_out.by_shape()?)?;
        let by_material = trained("material", images.by_material()?, held_out.by_material()?)?;
        let untrained = plan("untrained", by_shape.classes().unwrap_or_default()).untrained(seed)?;
        let judges = [by_shape.clone(), by_material.clone()];
        let mut correct = vec![];
        for image in held_out.images() {
            let of = |net: &Network| -> metamers::Result<String> { Ok(net.classify(image, 1)?.top().name.clone()) };
            if image.name() == format!("{} of {}", of(&by_shape)?, of(&by_material)?) {
                correct.push(image.clone());
            }
        }
        for (maker, net) in [by_shape, by_material, untrained].iter().enumerate() {
            for (place, stage) in STAGES.iter().enumerate() {
                for image in correct.iter().take(count) {
                    let synthesis = Synthesis::new(net, stage, image)?.recipe(recipe.clone()).seed(3).quiet();
                    let mut run = synthesis.start()?;
                    run.advance(Stop::snr(20.0).or_evaluations(200))?;
                    let metamer = run.finish()?;
                    if metamer.similarity().snr_db.is_some_and(|snr| snr >= 20.0) {
                        for (judge, sum) in judges.iter().zip(&mut sums[maker][place]) {
                            let class = |s| -> metamers::Result<usize> { Ok(judge.classify(s, 1)?.top().class) };
                            let same = class(metamer.stimulus().clone())? == class(metamer.original().clone())?;
                            sum.0 += usize::from(same);
                            sum.1 += 1;
                        }
                    }
                }
            }
        }
    }
    let mut table = Table::new(["metamers of", "stage", "judged by shape", "judged by material"]).caption(format!(
        "{} from {count} images and {seeds} seeds, at 20 dB or better: proportion recognised",
        recipe.name
    ));
    for (maker, name) in ["shape", "material", "untrained"].iter().enumerate() {
        for (place, stage) in STAGES.iter().enumerate() {
            let share = |(hits, total): (usize, usize)| {
                metamers::similarity::Proportion::new(hits, total).map(|s| s.to_string())
            };
            let [a, b] = sums[maker][place];
            table.push([name.to_string(), stage.to_string(), share(a)?, share(b)?]);
        }
    }
    table.show();
    Ok(())
}
