//! Files of runs and metamers: lossless float values with their provenance.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::archive::{ArchiveReader, ArchiveWriter, MAX_COUNT};
use super::execution::Execution;
use super::film::Film;
use super::goal::{Bound, Goal};
use super::history::{Best, History, Point, TargetCurves};
use super::metamer::Metamer;
use super::optimizer::OptimizerState;
use super::problem::{Problem, TargetMatch};
use super::provenance::Provenance;
use super::run::Run;
use super::session_log;
use super::stop::StopReason;
use super::synthesis::Synthesis;
use crate::fs::extension::check_extension;
use crate::network::{Classification, Network};
use crate::similarity::Similarity;
use crate::stimulus::{Image, Sound, Stimulus};
use crate::{Error, Result};

const SIZE_MISMATCH: &str = "has arrays of different sizes for one stimulus";
/// The kinds of files, stored in the note "kind".
const RUN_KIND: &str = "metamers run 1";
const METAMER_KIND: &str = "metamers metamer 1";

/// The notes of a file; the provenance is stored under the name "stamp".
fn notes(path: &Path, kind: &str, provenance: &Provenance) -> Result<BTreeMap<String, String>> {
    let json = serde_json::to_string(provenance);
    let json =
        json.map_err(|e| Error::file(path, format!("cannot be written: its provenance has no JSON form ({e})")))?;
    Ok(BTreeMap::from([("kind".into(), kind.into()), ("stamp".into(), json)]))
}

fn open(path: &Path, kind: &str) -> Result<(ArchiveReader, Provenance)> {
    let file = ArchiveReader::read(path)?;
    let found = file.note("kind")?;
    if found != kind {
        return Err(file.error(format!("is a \"{found}\" file, expected \"{kind}\"")));
    }
    let provenance =
        serde_json::from_str(file.note("stamp")?).map_err(|e| file.error(format!("has a damaged provenance ({e})")))?;
    let mut provenance: Provenance = provenance;
    load_goal_stimuli(&file, &mut provenance)?;
    Ok((file, provenance))
}

/// Saves the stimuli of penalties and of a bound.
fn save_goal_stimuli(to: &mut ArchiveWriter, goal: &Goal) {
    for (i, stimulus) in goal.stimuli().enumerate() {
        save_stimulus(to, &format!("goal.{i}"), stimulus);
    }
}

fn load_goal_stimuli(file: &ArchiveReader, provenance: &mut Provenance) -> Result<()> {
    let mut next = 0;
    let mut load = |name: &str| {
        next += 1;
        load_stimulus(file, &format!("goal.{}", next - 1), name)
    };
    for penalty in &mut provenance.penalties {
        let stimuli = penalty.stimulus_names().iter().map(|name| load(name)).collect::<Result<Vec<_>>>()?;
        penalty.set_stimuli(stimuli);
        if penalty.code_name().is_none() {
            penalty.check_complete().map_err(|e| file.error(e))?;
        }
    }
    if let Some(bound) = &mut provenance.bound {
        Bound::check_eps(bound.eps()).map_err(|e| file.error(e))?;
        let center = load(bound.center_name())?;
        bound.set_center(center);
    }
    Ok(())
}

/// Saves the signal-to-noise ratios of several targets.
fn save_targets(to: &mut ArchiveWriter, rows: &[Vec<f64>]) {
    if !rows.is_empty() {
        to.f64("history.target_snr_db", &rows.concat());
    }
}

/// Loads the signal-to-noise ratios of several targets, for `points` evaluations.
fn load_targets(file: &ArchiveReader, targets: usize, points: usize) -> Result<Vec<Vec<f64>>> {
    if !file.has("history.target_snr_db") {
        return Ok(vec![]);
    }
    let values = file.f64("history.target_snr_db")?;
    match targets > 1 && values.len() == targets * points {
        true => Ok(values.chunks_exact(targets).map(<[f64]>::to_vec).collect()),
        false => Err(file.error("has columns of different lengths in its history")),
    }
}

fn save_stimulus(to: &mut ArchiveWriter, name: &str, stimulus: &Stimulus) {
    match stimulus {
        Stimulus::Image(image) => {
            to.f32_shaped(name, &[image.channels(), image.height(), image.width()], image.values());
        }
        Stimulus::Sound(sound) => {
            to.f32(name, sound.values());
            to.u64(&format!("{name}.rate"), sound.sample_rate().into());
        }
    }
}

fn load_stimulus(file: &ArchiveReader, name: &str, stimulus_name: &str) -> Result<Stimulus> {
    let damaged = |e: Error| file.error(format!("\"{name}\" is damaged: {e}"));
    let (shape, values) = file.f32_shaped(name)?;
    match *shape {
        [3, height, width] => Ok(Image::from_planes(stimulus_name, width, height, values).map_err(damaged)?.into()),
        [1, height, width] => Ok(Image::from_gray(stimulus_name, width, height, values).map_err(damaged)?.into()),
        [_] => {
            let rate = u32::try_from(file.u64(&format!("{name}.rate"))?).unwrap_or_default();
            Ok(Sound::from_samples(stimulus_name, rate, values).map_err(damaged)?.into())
        }
        _ => Err(file.error(format!(
            "\"{name}\" has shape {shape:?}, expected [3, height, width], [1, height, width] or [samples]"
        ))),
    }
}

fn save_history(to: &mut ArchiveWriter, points: &[Point]) {
    let column = |f: fn(&Point) -> f64| points.iter().map(f).collect::<Vec<f64>>();
    to.f64("history.evaluation", &column(|p| p.evaluation as f64));
    to.f64("history.loss", &column(|p| p.loss));
    to.f64("history.snr_db", &column(|p| p.snr_db));
    to.f64("history.seconds", &column(|p| p.seconds));
}

fn load_points(file: &ArchiveReader) -> Result<Vec<Point>> {
    let column = |name: &str| file.f64(&format!("history.{name}"));
    let columns = [column("evaluation")?, column("loss")?, column("snr_db")?, column("seconds")?];
    let length = columns[0].len();
    if columns[0].iter().any(|&e| !(e >= 1.0 && e <= MAX_COUNT as f64 && e.fract() == 0.0)) {
        return Err(file.error("has invalid evaluation numbers in its history"));
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

/// Loads the history of a run with this number of targets.
fn load_history(file: &ArchiveReader, targets: usize) -> Result<History> {
    let best = match file.has("best.x") {
        true => Some(Best { x: file.f32("best.x")?, snr_db: file.scalar("best.snr_db")? }),
        false => None,
    };
    let points = load_points(file)?;
    let history = History {
        target_snr_db: Arc::new(load_targets(file, targets, points.len())?),
        points: Arc::new(points),
        best,
        gradient: Arc::new(file.f32("gradient")?),
        evaluations: file.count("evaluations")?,
        elapsed: Duration::from_nanos(file.u64("elapsed_ns")?),
    };
    Ok(history)
}

/// Checks that all arrays of a run have the size of its original, and that pixels and gradient are finite.
fn check_arrays(file: &ArchiveReader, synthesis: &Synthesis, state: &OptimizerState, history: &History) -> Result<()> {
    let size = synthesis.original.values().len();
    let best = history.best.as_ref().map(|best| best.x.as_slice());
    let gradient = (!history.gradient.is_empty()).then_some(&history.gradient[..]);
    for array in [Some(state.pixels()), best, gradient].into_iter().flatten() {
        if array.len() != size {
            return Err(file.error(SIZE_MISMATCH));
        }
        crate::finite::check(|| "an array of pixels".into(), array).map_err(|e| file.error(e))?;
    }
    let start = synthesis.start.as_ref();
    match state.is_consistent() && start.is_none_or(|start| start.values().len() == size) {
        true => Ok(()),
        false => Err(file.error(SIZE_MISMATCH)),
    }
}

impl Run {
    /// Saves the run to a `.run` file, from which [`Run::resume`] continues bit-identically. The file is written atomically.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, and when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let advice = "runs are saved as .run; for a page, a picture or a text call run.export(\"run.html\"), for the stimulus \
                      run.finish()?.save(\"x.metamer\")";
        check_extension(path.as_ref(), "run", advice)?;
        let mut to = ArchiveWriter::new(notes(path.as_ref(), RUN_KIND, &self.provenance())?);
        save_stimulus(&mut to, "original", &self.synthesis.original);
        if let Some(start) = &self.synthesis.start {
            save_stimulus(&mut to, "start", start);
        }
        if let Some(best) = &self.history.best {
            to.f32("best.x", &best.x);
            to.f64("best.snr_db", &[best.snr_db]);
        }
        to.f32("gradient", &self.history.gradient);
        to.u64("steps", self.steps as u64);
        to.u64("evaluations", self.history.evaluations as u64);
        to.u64("over", stopped_to_number(self.stopped));
        to.u64("elapsed_ns", self.history.elapsed.as_nanos() as u64);
        // A run on a device continues layer by layer, on the CPU or where `Run::move_to` says.
        to.u64("layer_by_layer", self.synthesis.is_layer_by_layer().into());
        save_history(&mut to, &self.history.points);
        save_targets(&mut to, &self.history.target_snr_db);
        save_goal_stimuli(&mut to, &self.synthesis.goal);
        if let Some(film) = &self.film {
            film.save(&mut to);
        }
        self.state.save(&mut to);
        to.write(path.as_ref())
    }

    /// Opens a saved run, which then continues bit-identically. The file may have any extension. A run that was on a device continues
    /// layer by layer on the CPU; [`Run::move_to`] moves it to a device.
    ///
    /// # Errors
    /// [`Error::File`] for a damaged file, a file that is not a run, and a network whose name or weights differ from those of the run.
    pub fn resume(path: impl AsRef<Path>, network: &Network) -> Result<Self> {
        let (file, provenance) = open(path.as_ref(), RUN_KIND)?;
        provenance.check(network).map_err(|reason| file.error(reason))?;
        let original = load_stimulus(&file, "original", &provenance.original)?;
        let start = file.has("start").then(|| load_stimulus(&file, "start", &provenance.start)).transpose()?;
        let execution = Execution::from_saved(load_layer_by_layer(&file)?);
        let goal = provenance.prepared_goal(network).map_err(|reason| file.error(reason))?;
        if goal.stimuli().any(|stimulus| !original.is_like(stimulus)) {
            return Err(file.error(SIZE_MISMATCH));
        }
        let last_made_by = Some(provenance.made_by());
        let synthesis = Synthesis {
            recipe: provenance.recipe,
            recipe_is_default: false,
            seed: provenance.seed,
            start,
            execution,
            begun_by: provenance.begun_by,
            last_made_by,
            ..Synthesis::with_goal(network, goal, original)
        };
        synthesis.recipe.check()?;
        let Synthesis { network, goal, original, recipe, execution, .. } = &synthesis;
        goal.check(recipe)?;
        let problem = Problem::new(network, goal, original, recipe, execution)?;
        let history = load_history(&file, goal.matched.parts().len())?;
        let state = OptimizerState::load(recipe, &file, problem.planes())?;
        check_arrays(&file, &synthesis, &state, &history)?;
        if history.evaluations < history.points.len() || history.best.as_ref().is_some_and(|b| b.snr_db.is_nan()) {
            return Err(file.error("has an inconsistent history"));
        }
        let stopped = stopped_from_number(file.u64("over")?).map_err(|reason| file.error(reason))?;
        let mut run = Self::from_parts(synthesis, problem, state, history, file.count("steps")?, stopped);
        run.film = Film::load(&file)?;
        session_log::log(&run.synthesis);
        Ok(run)
    }
}

/// The flag "layer_by_layer"; false in older files, which lack it.
fn load_layer_by_layer(file: &ArchiveReader) -> Result<bool> {
    match file.has("layer_by_layer").then(|| file.u64("layer_by_layer")).transpose()? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(file.error(format!("is damaged: its \"layer_by_layer\" is {other}"))),
    }
}

fn stopped_to_number(stopped: Option<StopReason>) -> u64 {
    match stopped {
        Some(StopReason::Plateau) => 1,
        Some(StopReason::Settled) => 3,
        Some(_) => 2,
        None => 0,
    }
}

fn stopped_from_number(number: u64) -> std::result::Result<Option<StopReason>, String> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(StopReason::Plateau)),
        2 => Ok(Some(StopReason::Stalled)),
        3 => Ok(Some(StopReason::Settled)),
        _ => Err(format!("has an unknown stop reason, number {number}")),
    }
}

impl Metamer {
    /// Saves the metamer to a `.metamer` file, for [`Metamer::open`] and [`Metamer::reproduce`]: original, metamer (float32 values),
    /// history, similarity, classes and provenance. The file is written atomically.
    ///
    /// A `.metamer` file is a safetensors file, which other programs can read too.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, and when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let advice = "metamers are saved as .metamer; for a page, a picture or a text call metamer.export(\"x.html\"), for a \
                      sound metamer.sound()?.save(\"x.wav\"), for an image metamer.image()?.save(\"x.png\")";
        check_extension(path.as_ref(), "metamer", advice)?;
        self.archive(path.as_ref())?.write(path.as_ref())
    }

    /// The bytes of the file that [`Metamer::save`] writes.
    ///
    /// # Errors
    /// Infallible for a metamer of a valid run; the `Result` comes from the file format.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let name = Path::new("metamer");
        self.archive(name)?.into_bytes(name)
    }

    fn archive(&self, path: &Path) -> Result<ArchiveWriter> {
        let mut notes = notes(path, METAMER_KIND, &self.provenance)?;
        let answers = (&self.similarity, &self.original_class, &self.metamer_class);
        let answers = serde_json::to_string(&answers).map_err(|e| Error::file(path, e))?;
        notes.insert("answers".into(), answers);
        if self.provenance.matched.is_some() {
            let matches = serde_json::to_string(&self.matches).map_err(|e| Error::file(path, e))?;
            notes.insert("matches".into(), matches);
        }
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
        if let Some(settled) = self.settled {
            to.u64("settled", settled.into());
        }
        save_history(&mut to, &self.history);
        save_targets(&mut to, &self.targets.snr_db);
        save_goal_stimuli(&mut to, &self.provenance.goal());
        if let Some(film) = &self.film {
            film.save(&mut to);
        }
        Ok(to)
    }

    /// Opens a saved metamer. The file may have any extension.
    ///
    /// # Errors
    /// [`Error::File`] when the file is damaged or not a metamer.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (file, provenance) = open(path.as_ref(), METAMER_KIND)?;
        type Answers = (Similarity, Option<Classification>, Option<Classification>);
        let answers: Answers = serde_json::from_str(file.note("answers")?)
            .map_err(|e| file.error(format!("has a damaged note \"answers\" ({e})")))?;
        let (similarity, original_class, metamer_class) = answers;
        let (original, stimulus) =
            (load_stimulus(&file, "original", &provenance.original)?, load_stimulus(&file, "metamer", "metamer")?);
        let start = file.has("start").then(|| load_stimulus(&file, "start", &provenance.start)).transpose()?;
        let matches: Vec<TargetMatch> = match file.note("matches") {
            Ok(json) => {
                serde_json::from_str(json).map_err(|e| file.error(format!("has a damaged note \"matches\" ({e})")))?
            }
            // A file without the note has one whole stage.
            Err(_) => vec![TargetMatch { target: provenance.stage.clone(), weight: 1.0, similarity }],
        };
        let history = load_points(&file)?;
        let names = matches.iter().map(|found| found.target.clone()).collect();
        let snr_db = Arc::new(load_targets(&file, matches.len(), history.len())?);
        if !original.is_like(&stimulus) || start.as_ref().is_some_and(|start| !original.is_like(start)) {
            return Err(file.error(SIZE_MISMATCH));
        }
        Ok(Self {
            original,
            stimulus,
            history,
            targets: Arc::new(TargetCurves { names, snr_db }),
            similarity,
            matches,
            original_class,
            metamer_class,
            cochleagram: None,
            provenance,
            start,
            steps: file.has("steps").then(|| file.count("steps")).transpose()?,
            settled: file.has("settled").then(|| file.count("settled").map(|settled| settled != 0)).transpose()?,
            layer_by_layer: load_layer_by_layer(&file)?,
            film: Film::load(&file)?,
        })
    }
}
