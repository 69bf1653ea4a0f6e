//! Writes every kind of display to a folder, for visual inspection: `cargo run --release --example gallery -- OUTPUT_FOLDER`.

use std::error::Error;
use std::f32::consts::TAU;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metamers::display::{Align, Bars, Figure, HeatMap, LinePlot, Palette, Panel, ProgressBar, Raster, Show, Table};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: gallery FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    step(&folder)?;
    finished(&folder)?;
    curves(&folder)?;
    crowded(&folder)?;
    maps(&folder)?;
    stages(&folder)?;
    edges(&folder)?;
    println!(
        "{}",
        ProgressBar::new(120, Some(800)).unit("evaluations").elapsed(Duration::from_secs(12)).eta_from_pace()
    );
    Ok(())
}

/// Exports a value as text, as a page and, if it has one, as an image.
fn save(thing: impl Show, folder: &Path, name: &str) -> metamers::Result<()> {
    let thing = Saved(thing.mime_bundles());
    if thing.0.iter().any(|bundle| bundle.png_bytes().is_some()) {
        thing.export(folder.join(format!("{name}.png")))?;
    }
    thing.export(folder.join(format!("{name}.txt")))?;
    thing.export(folder.join(format!("{name}.html")))
}

struct Saved(Vec<metamers::display::MimeBundle>);

impl Show for Saved {
    fn mime_bundles(&self) -> Vec<metamers::display::MimeBundle> {
        self.0.clone()
    }
}

/// The display of a running synthesis.
fn step(folder: &Path) -> metamers::Result<()> {
    let gradient = HeatMap::new("gradient", 224, 224, ripples(224, 2e-5))
        .palette(Palette::Diverging)
        .square()
        .robust()
        .value_label("∂loss/∂pixel");
    let loss =
        LinePlot::new("loss").x_label("gradient evaluations").y_label("loss").log_y().series("", decay(120, 0.03));
    let figure = Figure::new("A running synthesis of a panda: image, gradient and falling loss").row([
        Panel::picture("block5, step 120", scene(224, 0.4)).caption("SNR 14.2 dB, 9.1 s"),
        gradient.into(),
        loss.into(),
    ]);
    save(figure, folder, "step")
}

/// The display of a finished metamer.
fn finished(folder: &Path) -> metamers::Result<()> {
    let snr = LinePlot::new("SNR at block5")
        .x_label("gradient evaluations")
        .y_label("SNR (dB)")
        .series("", (0..200).map(|k| (f64::from(k), 31.0 * (1.0 - (-f64::from(k) / 40.0).exp()))).collect())
        .reference_line(20.0, "20 dB: well matched");
    let figure = Figure::new("Giant panda and its metamer at block5")
        .title("A metamer of a giant panda at block5")
        .row([
            Panel::picture("original", scene(224, 0.0)).caption("giant panda 0.93"),
            Panel::picture("metamer", scene(224, 0.8)).caption("giant panda 0.91\nρ 0.998, r 0.999, SNR 30.8 dB"),
            snr.into(),
        ])
        .row([Bars::new("original").bars(classes()).highlight(0), Bars::new("metamer").bars(classes()).highlight(0)]);
    save(figure, folder, "finished")
}

fn curves(folder: &Path) -> metamers::Result<()> {
    let presets = LinePlot::new("Four recipes at block2, giant panda")
        .x_label("gradient evaluations")
        .y_label("SNR (dB)")
        .series("L-BFGS", curve(800, 60.0, 44.0))
        .series("feather2023", curve(800, 300.0, 26.0))
        .series("feather2019", curve(800, 420.0, 25.0))
        .series("plenoptic", curve(800, 240.0, 18.0))
        .reference_line(20.0, "20 dB: well matched");
    save(presets, folder, "recipes")?;
    let many = [
        "stem",
        "block0",
        "block1",
        "block2",
        "block3",
        "block4",
        "block5",
        "block6",
        "features",
        "a very long stage name, which a custom network may have",
    ];
    let legend = many.iter().enumerate().fold(
        LinePlot::new("Loss by stage").x_label("gradient evaluations").y_label("normalised loss").log_x().log_y(),
        |plot, (index, name)| plot.series(*name, decay(1000, 0.002 * (index + 1) as f64)),
    );
    save(legend, folder, "legend")?;
    let narrow = LinePlot::new("Less than a decade")
        .x_label("step")
        .y_label("loss")
        .log_y()
        .series("", vec![(0.0, 0.31), (10.0, 0.24), (20.0, 0.2)]);
    let large =
        LinePlot::new("Large numbers").x_label("pixels").y_label("energy").series("", vec![(0.0, 2.1e7), (3e6, 9.7e7)]);
    let small = LinePlot::new("Small numbers")
        .x_label("time (s)")
        .y_label("step size")
        .series("", vec![(0.0, -2e-6), (0.25, 7e-6), (0.5, 3e-6)]);
    save(Figure::new("Axes of three kinds").row([narrow, large, small]), folder, "axes")
}

/// Line plots: with one point, narrow, crowded, and without lines.
fn crowded(folder: &Path) -> metamers::Result<()> {
    let few_steps = LinePlot::new("three steps").x_label("gradient evaluations").y_label("loss").log_y();
    let few_steps = few_steps.series("", vec![(0.0, 0.9), (1.0, 0.4), (2.0, 0.3), (3.0, 0.11)]);
    let first = LinePlot::new("one step")
        .x_label("gradient evaluations")
        .y_label("loss")
        .log_y()
        .series("loss", vec![(1.0, 0.9)]);
    let random = |k: u32| (f64::from(noise(k as usize)), f64::from(noise(k as usize + 900)) - 0.5);
    let points = LinePlot::new("no lines").x_label("ρ").y_label("r").points("photos", (0..60).map(random).collect());
    let points = points.points("null", (60..90).map(random).collect()).reference_line(0.0, "no correlation");
    let many = (0..40).fold(LinePlot::new("forty runs").x_label("step").y_label("SNR (dB)"), |plot, k| {
        plot.series(format!("seed {k}"), curve(100, 20.0 + f64::from(k), 30.0))
    });
    let figure =
        Figure::new("Plots of a running synthesis, and crowded plots").row([few_steps, first, points]).row([many]);
    save(figure, folder, "crowded")?;
    let narrow = LinePlot::new("A narrow plot").x_label("gradient evaluations").y_label("SNR (dB)");
    let narrow = narrow.series("L-BFGS", curve(800, 60.0, 44.0)).reference_line(20.0, "20 dB: well matched");
    save(Figure::new("A narrow figure").width(240.0).row([narrow]), folder, "narrow")
}

fn maps(folder: &Path) -> metamers::Result<()> {
    let (bands, frames) = (211, 390);
    let spectrum = (0..bands * frames)
        .map(|index| {
            let (band, time) = ((index / frames) as f32 / bands as f32, (index % frames) as f32 / frames as f32);
            let voice = (0..6)
                .map(|h| (-((band - 0.12 * (h + 1) as f32 - 0.04 * (TAU * time).sin()) * 60.0).powi(2)).exp())
                .sum::<f32>();
            0.9 * voice * (TAU * 1.5 * time).sin().abs() + 0.05 * noise(index)
        })
        .collect();
    let cochleagram = HeatMap::new("seven", bands, frames, spectrum)
        .origin_lower()
        .x_axis("time (s)", 0.0, 2.0)
        .y_axis_log("frequency (Hz)", 50.0, 10_000.0)
        .value_label("compressed envelope");
    save(cochleagram, folder, "cochleagram")?;
    let gradient = HeatMap::new("Gradient of the loss", 224, 224, ripples(224, 3e-5))
        .palette(Palette::Diverging)
        .square()
        .value_label("∂loss/∂pixel");
    save(gradient, folder, "gradient")?;
    let names =
        HeatMap::new("Confusions", 8, 8, (0..64).map(|i| if i % 9 == 0 { 0.8 } else { 0.2 * noise(i) }).collect())
            .palette(Palette::Viridis)
            .square()
            .range(0.0, 1.0)
            .value_label("share");
    save(names, folder, "confusions")
}

/// A sweep's panel of stimuli by stages.
fn stages(folder: &Path) -> metamers::Result<()> {
    let mut figure = Figure::new("Metamers of two photos at five stages").title("Metamers by stage");
    for seed in 0..2 {
        let panels =
            ["original", "stem", "block2", "block5", "block10", "logits"].iter().enumerate().map(|(index, stage)| {
                let snr = 40 - 4 * index;
                Panel::picture(*stage, scene(224, 0.25 * index as f32 + 0.05 * seed as f32))
                    .caption(format!("SNR {snr} dB, giant panda"))
            });
        figure.push(panels);
    }
    save(figure, folder, "stages")?;
    let table = Table::new(["stage", "shape", "units", "receptive field", "ms per step"])
        .align([Align::Left, Align::Left, Align::Right, Align::Right, Align::Right])
        .caption("EfficientNet-Lite0")
        .row(["stem", "32 × 112 × 112", "401 408", "3", "2.1"])
        .row(["block2", "24 × 56 × 56", "75 264", "11", "6.0"])
        .row(["logits <raw>", "1000", "1 000", "all", "15.3"]);
    save(table, folder, "table")
}

/// Edge cases.
fn edges(folder: &Path) -> metamers::Result<()> {
    let mut holes = vec![0.5; 3 * 32 * 32];
    (0..200).for_each(|index| holes[5 * index] = f32::NAN);
    let figure = Figure::new("Invalid and unusual values")
        .title("Was schiefgeht: ein sehr langer Titel mit Umlauten äöü, griechischen Buchstaben αβγ, und 漢字, die diese Schrift nicht hat, und der über mehrere Zeilen geht")
        .row([
            Panel::picture("NaN values", Raster::from_planar(32, 32, &holes)).caption("NaN values are magenta"),
            Panel::picture("wrong size", Raster::from_planar(32, 32, &[0.0; 17])),
            Panel::picture("wide", Raster::from_gray(400, 3, &[0.4; 1200])).caption("Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverordnung"),
            Panel::text("a text", "Two lines,\nof which the second is long enough to be wrapped at the width of its panel."),
        ])
        .row::<Panel>([
            LinePlot::new("no points").x_label("step").series("a", vec![]).into(),
            LinePlot::new("constant").x_label("step").y_label("value").series("", (0..9).map(|k| (f64::from(k), 0.25)).collect()).into(),
            LinePlot::new("gaps").x_label("step").y_label("value").series("", vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.5), (4.0, f64::INFINITY), (5.0, 2.5), (6.0, 2.0)]).into(),
        ])
        .row([HeatMap::new("constant", 4, 4, vec![2.0; 16]).square(), HeatMap::new("holes", 2, 2, vec![1.0, f32::NAN, 0.0, 0.5]).square(), HeatMap::new("wrong", 2, 2, vec![])]);
    save(figure, folder, "edges")?;
    save(Raster::from_gray(8, 8, &(0..64).map(|k| k as f32 / 63.0).collect::<Vec<_>>()), folder, "small")?;
    save(
        Bars::new("many").bars(
            (0..6).map(|k| {
                (format!("class {k} with a name that is far too long to fit beside its bar"), 0.3_f64.powi(k))
            }),
        ),
        folder,
        "bars",
    )
}

fn classes() -> Vec<(&'static str, f64)> {
    vec![
        ("giant panda", 0.927),
        ("American black bear", 0.031),
        ("indri", 0.012),
        ("colobus monkey", 0.006),
        ("gibbon", 0.0004),
    ]
}

fn decay(steps: u32, rate: f64) -> Vec<(f64, f64)> {
    (1..=steps)
        .map(|k| (f64::from(k), 0.9 * (-rate * f64::from(k)).exp() * (1.0 + 0.1 * f64::from(noise(k as usize))) + 1e-4))
        .collect()
}

fn curve(steps: u32, pace: f64, top: f64) -> Vec<(f64, f64)> {
    (0..=steps).map(|k| (f64::from(k), top * (1.0 - (-f64::from(k) / pace).exp()))).collect()
}

/// A smooth scene with a fraction `mix` of noise, as a stand-in for a photo.
fn scene(side: usize, mix: f32) -> Raster {
    let plane = |channel: usize| {
        (0..side * side).map(move |index| {
            let (y, x) = ((index / side) as f32 / side as f32, (index % side) as f32 / side as f32);
            let disc = if (x - 0.5).hypot(y - 0.55) < 0.3 { 0.9 } else { 0.25 + 0.4 * y };
            let color = disc * [0.8, 0.95, 0.7][channel] + 0.05 * (TAU * 3.0 * x).sin();
            (1.0 - 0.5 * mix.min(1.0)) * color + 0.5 * mix.min(1.0) * noise(index * 3 + channel)
        })
    };
    Raster::from_planar(side, side, &(0..3).flat_map(plane).collect::<Vec<_>>())
}

fn ripples(side: usize, size: f32) -> Vec<f32> {
    (0..side * side)
        .map(|index| {
            let (y, x) = ((index / side) as f32 / side as f32 - 0.5, (index % side) as f32 / side as f32 - 0.5);
            size * ((40.0 * x.hypot(y)).sin() * (-6.0 * x.hypot(y)).exp() + 0.3 * (noise(index) - 0.5))
        })
        .collect()
}

/// A deterministic pseudo-random number in 0..1 for each index.
fn noise(index: usize) -> f32 {
    let mixed = (index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((mixed ^ (mixed >> 32)) & 0xffff) as f32 / 65535.0
}
