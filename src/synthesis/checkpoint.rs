//! Runs and metamers in files: float pixels, to the bit, with a stamp.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::archive::{ArchiveReader, ArchiveWriter, MOST};
use super::history::{Best, History, Point};
use super::metamer::Metamer;
use super::optimizer::State;
use super::problem::Problem;
use super::progress::StopReason;
use super::provenance::Provenance;
use super::run::Run;
use super::synthesis::Synthesis;
use crate::display::Show;
use crate::network::{Classification, Network};
use crate::similarity::Similarity;
use crate::stimulus::{Image, Sound, Stimulus};
use crate::{Error, Result};

const DIFFERENT_SIZES: &str = "holds arrays of different sizes for one stimulus";
const RUN: &str = "metamers run 1";
const METAMER: &str = "metamers metamer 1";

fn notes(path: &Path, kind: &str, stamp: &Provenance) -> Result<BTreeMap<String, String>> {
    let stamp = serde_json::to_string(stamp);
    let stamp = stamp.map_err(|e| Error::file(path, format!("cannot be written: its stamp has no JSON ({e})")))?;
    Ok(BTreeMap::from([("kind".into(), kind.into()), ("stamp".into(), stamp)]))
}

fn open(path: &Path, kind: &str) -> Result<(ArchiveReader, Provenance)> {
    let file = ArchiveReader::read(path)?;
    let found = file.note("kind")?;
    if found != kind {
        return Err(file.error(format!("is a \"{found}\" file, expected \"{kind}\"")));
    }
    let stamp =
        serde_json::from_str(file.note("stamp")?).map_err(|e| file.error(format!("has a damaged stamp ({e})")))?;
    Ok((file, stamp))
}

fn save_stimulus(to: &mut ArchiveWriter, name: &str, stimulus: &Stimulus) {
    match stimulus {
        Stimulus::Image(image) => to.f32_shaped(name, &[3, image.height(), image.width()], image.values()),
        Stimulus::Sound(sound) => {
            to.f32(name, sound.values());
            to.u64(&format!("{name}.rate"), sound.sample_rate().into());
        }
    }
}

fn load_stimulus(file: &ArchiveReader, name: &str, called: &str) -> Result<Stimulus> {
    let damaged = |e: Error| file.error(format!("\"{name}\" is damaged: {e}"));
    let (shape, values) = file.f32_shaped(name)?;
    match *shape {
        [3, height, width] => Ok(Image::from_planes(called, width, height, values).map_err(damaged)?.into()),
        [_] => {
            let rate = u32::try_from(file.u64(&format!("{name}.rate"))?).unwrap_or_default();
            Ok(Sound::from_samples(called, rate, values).map_err(damaged)?.into())
        }
        _ => Err(file.error(format!("\"{name}\" has shape {shape:?}, expected [3, height, width] or [samples]"))),
    }
}

fn save_history(to: &mut ArchiveWriter, points: &[Point]) {
    let column = |f: fn(&Point) -> f64| points.iter().map(f).collect::<Vec<f64>>();
    to.f64("history.evaluation", &column(|p| p.evaluation as f64));
    to.f64("history.loss", &column(|p| p.loss));
    to.f64("history.snr_db", &column(|p| p.snr_db));
    to.f64("history.seconds", &column(|p| p.seconds));
}

fn load_history(file: &ArchiveReader) -> Result<Vec<Point>> {
    let column = |name: &str| file.f64(&format!("history.{name}"));
    let columns = [column("evaluation")?, column("loss")?, column("snr_db")?, column("seconds")?];
    let length = columns[0].len();
    if columns[0].iter().any(|&e| !(e >= 1.0 && e <= MOST as f64 && e.fract() == 0.0)) {
        return Err(file.error("numbers its history with what are no counts"));
    }
    if columns.iter().any(|c| c.len() != length) {
        return Err(file.error("has columns of different lengths in its history"));
    }
    Ok((0..length)
        .map(|i| Point {
            evaluation: columns[0][i] as usize,
            loss: columns[1][i],
            snr_db: columns[2][i],
            seconds: columns[3][i],
        })
        .collect())
}

impl Run {
    /// Saves the run so that [`Run::resume`] goes on with the same bits. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut to = ArchiveWriter::new(notes(path.as_ref(), RUN, &Provenance::of(&self.plan))?);
        save_stimulus(&mut to, "original", &self.plan.original);
        if let Some(start) = &self.plan.start {
            save_stimulus(&mut to, "start", start);
        }
        if let Some(best) = &self.history.best {
            to.f32("best.x", &best.x);
            to.f64("best.snr_db", &[best.snr_db]);
        }
        to.f32("gradient", &self.history.gradient);
        to.u64("steps", self.steps as u64);
        to.u64("evaluations", self.history.evaluations as u64);
        to.u64("over", over_to_number(self.stopped));
        to.u64("elapsed_ns", self.history.elapsed.as_nanos() as u64);
        to.u64("layer_by_layer", self.plan.layer_by_layer.into());
        save_history(&mut to, &self.history.points);
        self.state.save(&mut to);
        to.write(path.as_ref())
    }

    /// Goes on with a saved run.
    ///
    /// # Errors
    /// A file that is damaged or no run, or a network whose name or weights are not those that the run was started with.
    pub fn resume(path: impl AsRef<Path>, network: &Network) -> Result<Self> {
        let (file, stamp) = open(path.as_ref(), RUN)?;
        stamp.check(network).map_err(|reason| file.error(reason))?;
        let original = load_stimulus(&file, "original", &stamp.original)?;
        let start = file.has("start").then(|| load_stimulus(&file, "start", &stamp.start)).transpose()?;
        let layer_by_layer = load_layer_by_layer(&file)?;
        let plan = Synthesis {
            network: network.clone(),
            stage: stamp.stage,
            original,
            recipe: stamp.recipe,
            seed: stamp.seed,
            start,
            quiet: false,
            trial: false,
            layer_by_layer,
        };
        plan.recipe.check()?;
        let problem = Problem::new(&plan.network, &plan.stage, &plan.original, &plan.recipe, plan.layer_by_layer)?;
        let pixels = plan.original.values().len();
        let best = match file.has("best.x") {
            true => Some(Best { x: file.f32("best.x")?, snr_db: file.scalar("best.snr_db")? }),
            false => None,
        };
        let history = History {
            points: Arc::new(load_history(&file)?),
            best,
            gradient: Arc::new(file.f32("gradient")?),
            evaluations: file.count("evaluations")?,
            elapsed: Duration::from_nanos(file.u64("elapsed_ns")?),
        };
        let state = State::load(&plan.recipe, &file, problem.planes())?;
        let arrays = [Some(state.pixels()), history.best.as_ref().map(|b| b.x.as_slice())];
        let arrays =
            arrays.into_iter().flatten().chain((!history.gradient.is_empty()).then_some(&history.gradient[..]));
        for array in arrays {
            if array.len() != pixels {
                return Err(file.error(DIFFERENT_SIZES));
            }
            crate::finite::check(|| "an array of pixels".into(), array).map_err(|e| file.error(e))?;
        }
        if !state.is_consistent() || plan.start.as_ref().is_some_and(|start| start.values().len() != pixels) {
            return Err(file.error(DIFFERENT_SIZES));
        }
        if history.evaluations < history.points.len() || history.best.as_ref().is_some_and(|b| b.snr_db.is_nan()) {
            return Err(file.error("holds a history that contradicts itself"));
        }
        let over = over_from_number(file.u64("over")?).map_err(|reason| file.error(reason))?;
        Ok(Self::restored(plan, problem, state, history, file.count("steps")?, over))
    }
}

/// Files from before this was kept do not have it.
fn load_layer_by_layer(file: &ArchiveReader) -> Result<bool> {
    match file.has("layer_by_layer").then(|| file.u64("layer_by_layer")).transpose()? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(file.error(format!("is damaged: its \"layer_by_layer\" is {other}"))),
    }
}

fn over_to_number(over: Option<StopReason>) -> u64 {
    match over {
        Some(StopReason::Plateau) => 1,
        Some(_) => 2,
        None => 0,
    }
}

fn over_from_number(number: u64) -> std::result::Result<Option<StopReason>, String> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(StopReason::Plateau)),
        2 => Ok(Some(StopReason::Stalled)),
        _ => Err(format!("ends in an unknown way, number {number}")),
    }
}

impl Metamer {
    /// Saves by the path's extension: `.metamer` keeps original, metamer (float32 values), curve, answers and stamp, for
    /// [`Metamer::open`] and [`Metamer::reproduce`]; `.wav` is a sound alone, in float32; `.html`, `.png` and `.txt` are what it looks like. The file appears whole or not at all.
    ///
    /// A `.metamer` file is a safetensors file, which other programs read too.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, and when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        match crate::fs::extension::lowercase_extension(path.as_ref()).as_str() {
            "metamer" => {}
            "wav" => return self.sound()?.save(path),
            "html" | "htm" | "png" | "txt" => return Show::export(self, path),
            _ => {
                return Err(Error::file(
                    path.as_ref(),
                    "metamers are saved as .metamer, .wav (sounds), .html, .png or .txt",
                ));
            }
        }
        let mut notes = notes(path.as_ref(), METAMER, &self.stamp)?;
        let answers = (&self.similarity, &self.original_class, &self.metamer_class);
        let answers = serde_json::to_string(&answers).map_err(|e| Error::file(path.as_ref(), e))?;
        notes.insert("answers".into(), answers);
        let mut to = ArchiveWriter::new(notes);
        save_stimulus(&mut to, "original", &self.original);
        save_stimulus(&mut to, "metamer", &self.stimulus);
        if let Some(start) = &self.start {
            save_stimulus(&mut to, "start", start);
        }
        if let Some(steps) = self.steps {
            to.u64("steps", steps as u64);
            to.u64("layer_by_layer", self.layer_by_layer.into());
        }
        save_history(&mut to, &self.history);
        to.write(path.as_ref())
    }

    /// Opens a saved metamer.
    ///
    /// # Errors
    /// [`Error::File`] when the file is damaged or no metamer.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (file, stamp) = open(path.as_ref(), METAMER)?;
        type Answers = (Similarity, Option<Classification>, Option<Classification>);
        let answers: Answers = serde_json::from_str(file.note("answers")?)
            .map_err(|e| file.error(format!("has damaged answers ({e})")))?;
        let (similarity, original_class, metamer_class) = answers;
        let (original, stimulus) =
            (load_stimulus(&file, "original", &stamp.original)?, load_stimulus(&file, "metamer", "metamer")?);
        let start = file.has("start").then(|| load_stimulus(&file, "start", &stamp.start)).transpose()?;
        if !original.is_like(&stimulus) || start.as_ref().is_some_and(|start| !original.is_like(start)) {
            return Err(file.error(DIFFERENT_SIZES));
        }
        Ok(Self {
            original,
            stimulus,
            history: load_history(&file)?,
            similarity,
            original_class,
            metamer_class,
            ear: None,
            stamp,
            start,
            steps: file.has("steps").then(|| file.count("steps")).transpose()?,
            layer_by_layer: load_layer_by_layer(&file)?,
        })
    }
}
