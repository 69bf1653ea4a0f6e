//! Compares recipes at equal signal-to-noise ratio: how near to the start their metamers are, and whether another network recognizes them.
//!
//! Run: `cargo run --release --example faithfulness -- [PHOTOS] [STAGE,STAGE] [RECIPE,RECIPE] [SNR,SNR] [STEPS]`
//!
//! The metamers of EfficientNet-Lite0 for the first PHOTOS photos that Lite0 and Lite1 classify correctly, from noise of seed 0, are
//! also classified by EfficientNet-Lite1 and EfficientNet-Lite2, and compared with their originals in AlexNet's features (`cargo lab
//! --fetch` downloads the three). Lite2's share leaves out photos whose original it does not recognize. STEPS is the number of steps of
//! the papers' recipes. Each metamer is a row of `target/faithfulness_by_two.csv`; a row that is there is not computed again.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use metamers::prelude::*;
use metamers::similarity::Proportion;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

const CSV: &str = "target/faithfulness_by_two.csv";
const COLUMNS: &str = "stage,recipe,steps,required,photo,snr,evaluations,own,lite1,lite2,from_start,coarse_from_start,\
    from_original,saturated,in_alexnet,slope";
/// The stage of AlexNet at which metamer and original are compared.
const ALEXNET_STAGE: &str = "conv5";
/// The frequencies between which the slope of a spectrum is fitted, in cycles a picture.
const SLOPE_RANGE: [f64; 2] = [4.0, 100.0];
/// The side of the square blocks whose means are the coarse structure.
const BLOCK: usize = 16;

/// The numbers of a metamer, in the order of the last columns.
type Row = [f64; 11];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, default: &str| arguments.get(i).map_or(default.to_owned(), Clone::clone);
    let number = |text: &str| text.parse::<f64>().map_err(|e| Error::invalid("argument", format!("\"{text}\": {e}")));
    let count = number(&argument(0, "10"))? as usize;
    let steps = number(&argument(4, "8000"))? as usize;
    let mut ratios = argument(3, "8,20").split(',').map(number).collect::<Result<Vec<_>>>()?;
    ratios.sort_by(f64::total_cmp);

    let net = zoo::efficientnet_lite0()?;
    let lite1 = zoo::efficientnet_lite1_from("optional/efficientnet_lite1.safetensors")?;
    let lite2 = zoo::efficientnet_lite2_from("optional/efficientnet_lite2.safetensors")?;
    let alexnet = zoo::alexnet_from("optional/alexnet.safetensors")?;
    let photos = correctly_classified(&[&net, &lite1], count)?;
    let mut rows = read_rows(Path::new(CSV));
    for stage in argument(1, "block5,block10").split(',') {
        for recipe in argument(2, "natural_prior,nearest,near_start,feather2023").split(',') {
            let mut recipe = Recipe::by_name(recipe)?;
            if !matches!(recipe.optimizer, recipes::Optimizer::Lbfgs(_)) {
                recipe.steps = steps;
            }
            let keys: Vec<String> =
                ratios.iter().map(|snr| format!("{stage},{},{},{snr}", recipe.name, recipe.steps)).collect();
            for (photo, classes) in &photos {
                if keys.iter().any(|key| !rows.contains_key(&format!("{key},{}", photo.name()))) {
                    for (key, row) in keys.iter().zip(measure(
                        [&net, &lite1, &lite2, &alexnet],
                        stage,
                        &recipe,
                        photo,
                        classes,
                        &ratios,
                    )?) {
                        let key = format!("{key},{}", photo.name());
                        append(&key, &row)?;
                        rows.insert(key, row);
                    }
                }
            }
            for key in &keys {
                let found: Vec<Row> = photos.iter().map(|(p, _)| rows[&format!("{key},{}", p.name())]).collect();
                report(key, &found)?;
            }
        }
    }
    Ok(())
}

/// The first photos that all networks classify correctly, with their classes.
fn correctly_classified(nets: &[&Network], count: usize) -> Result<Vec<(Image, Vec<String>)>> {
    let mut found: Vec<(Image, Vec<String>)> = vec![];
    for photo in &shipped_photos()? {
        let image = Image::open(photo)?;
        let classes: Vec<String> = photo.classes().iter().map(|class| class.to_string()).collect();
        let mut tops = nets.iter().map(|net| Ok(net.classify(&image, 1)?.top().name.to_string()));
        if found.len() < count && tops.all(|top: Result<String>| top.is_ok_and(|top| classes.contains(&top))) {
            found.push((image, classes));
        }
    }
    Ok(found)
}

/// The metamers of one photo at each ratio, in rising order; a ratio that is not reached gives the best one.
fn measure(
    [net, lite1, lite2, alexnet]: [&Network; 4],
    stage: &str,
    recipe: &Recipe,
    photo: &Image,
    classes: &[String],
    ratios: &[f64],
) -> Result<Vec<Row>> {
    let start = || Synthesis::new(net, stage, photo)?.recipe(recipe.clone()).quiet().start();
    let initial = start()?.current();
    // Photos that Lite2 does not recognize say nothing about their metamers: Lite2's share leaves them out.
    let knows_original = classes.contains(&lite2.classify(photo, 1)?.top().name);
    let mut run = start()?;
    let mut rows = vec![];
    for &ratio in ratios {
        // A run of `nearest` holds one ratio.
        if recipe.name == "nearest" {
            run = start()?;
        }
        run.until(ratio)?;
        let metamer = run.finish()?;
        let image = metamer.image()?;
        let (x, size) = (image.values(), [image.height(), image.width()]);
        let distance = |from: &[f32], block: usize| rms_of_blocks(x, from, size, block);
        let saturated = x.iter().filter(|&&x| !(0.01..=0.99).contains(&x)).count() as f64 / x.len() as f64;
        let recognized =
            |net: &Network| Ok::<_, Error>(f64::from(u8::from(classes.contains(&net.classify(image, 1)?.top().name))));
        rows.push([
            metamer.similarity().snr_db.unwrap_or(f64::NEG_INFINITY),
            run.evaluations() as f64,
            recognized(net)?,
            recognized(lite1)?,
            if knows_original { recognized(lite2)? } else { f64::NAN },
            distance(initial.values(), 1),
            distance(initial.values(), BLOCK),
            distance(run.original().values(), 1),
            saturated,
            correlation_distance(alexnet, image, run.original())?,
            spectrum_slope(x, size) - spectrum_slope(run.original().values(), size),
        ]);
    }
    Ok(rows)
}

/// `1 - r` of the activations of two stimuli, with Pearson's correlation `r`.
fn correlation_distance(net: &Network, a: &Image, b: &Stimulus) -> Result<f64> {
    let features = |x: Tensor| Ok::<_, Error>(net.forward_to(ALEXNET_STAGE, &x)?.flatten_all()?.to_vec1::<f32>()?);
    let found = Similarity::between(&features(b.to_tensor()?)?, &features(a.to_tensor()?)?)?;
    Ok(1.0 - found.pearson.unwrap_or(f64::NAN))
}

/// The exponent of the amplitude spectrum of the mean over colors: the slope of the logarithm of the amplitude, averaged over orientations,
/// over that of the frequency. Natural pictures have about -1.
fn spectrum_slope(x: &[f32], [height, width]: [usize; 2]) -> f64 {
    let planes = x.len() / (height * width);
    let mut values: Vec<Complex<f64>> = (0..height * width)
        .map(|i| (0..planes).map(|plane| f64::from(x[plane * height * width + i])).sum::<f64>().into())
        .collect();
    let mut planner = FftPlanner::new();
    planner.plan_fft_forward(width).process(&mut values);
    let mut columns: Vec<Complex<f64>> =
        (0..width).flat_map(|x| (0..height).map(move |y| y * width + x)).map(|i| values[i]).collect();
    planner.plan_fft_forward(height).process(&mut columns);
    let mut rings: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (i, value) in columns.iter().enumerate() {
        let wave = |i: usize, side: usize| i.min(side - i) as f64;
        let frequency = wave(i / height, width).hypot(wave(i % height, height));
        let ring = rings.entry(frequency.round() as usize).or_default();
        *ring = (ring.0 + value.norm(), ring.1 + 1.0);
    }
    let [low, high] = SLOPE_RANGE;
    let points: Vec<(f64, f64)> = rings
        .iter()
        .map(|(&frequency, (sum, count))| (frequency as f64, sum / count))
        .filter(|(frequency, _)| (low..=high).contains(frequency))
        .map(|(frequency, amplitude)| (frequency.ln(), amplitude.ln()))
        .collect();
    let count = points.len() as f64;
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / count, sum.1 + p.1 / count));
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    covariance / points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

/// The root mean square of the difference, averaged over square blocks.
fn rms_of_blocks(x: &[f32], from: &[f32], [height, width]: [usize; 2], block: usize) -> f64 {
    let (mut square, mut blocks) = (0.0, 0);
    for plane in 0..x.len() / (height * width) {
        for top in (0..height / block).map(|i| i * block) {
            for left in (0..width / block).map(|i| i * block) {
                let pixels = (0..block * block).map(|i| (plane * height + top + i / block) * width + left + i % block);
                let mean = pixels.map(|i| f64::from(x[i] - from[i])).sum::<f64>() / (block * block) as f64;
                (square, blocks) = (square + mean * mean, blocks + 1);
            }
        }
    }
    (square / f64::from(blocks)).sqrt()
}

fn report(key: &str, rows: &[Row]) -> Result<()> {
    let required: f64 = key.rsplit(',').next().and_then(|snr| snr.parse().ok()).unwrap_or(f64::NAN);
    let reached: Vec<&Row> = rows.iter().filter(|row| row[0] >= required).collect();
    let median = |column: usize| {
        let mut values: Vec<f64> = reached.iter().map(|row| row[column]).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let share = |column: usize| {
        let judged: Vec<f64> = reached.iter().map(|row| row[column]).filter(|value| !value.is_nan()).collect();
        Proportion::new(judged.iter().filter(|&&value| value > 0.5).count(), judged.len())
    };
    println!(
        "{key}: {} of {} reached it, after {:.0} evaluations; recognized {} (own), \
         {} (Lite1), {} (Lite2); from the start {:.3}, coarse {:.3}; from \
         the original {:.3}, in AlexNet {:.3}; slope of the spectrum {:+.2}; saturated {:.1} %",
        reached.len(),
        rows.len(),
        median(1),
        share(2)?,
        share(3)?,
        share(4)?,
        median(5),
        median(6),
        median(7),
        median(9),
        median(10),
        100.0 * median(8)
    );
    Ok(())
}

fn read_rows(path: &Path) -> BTreeMap<String, Row> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let (key, numbers) = fields.split_at_checked(5)?;
        let numbers = numbers.iter().map(|number| number.parse().ok()).collect::<Option<Vec<f64>>>()?;
        Some((key.join(","), numbers.try_into().ok()?))
    };
    text.lines().filter_map(row).collect()
}

fn append(key: &str, row: &Row) -> Result<()> {
    let path = Path::new(CSV);
    let failed = |e: std::io::Error| Error::invalid(CSV, format!("cannot be written: {e}"));
    let is_new = !path.exists();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    let head = if is_new { format!("{COLUMNS}\n") } else { String::new() };
    let numbers = row.map(|number| number.to_string()).join(",");
    writeln!(file, "{head}{key},{numbers}").map_err(failed)
}
