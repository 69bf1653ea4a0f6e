//! The state of a page: a network, an original, a run and its metamer.

use std::time::Duration;

use metamers::display::Raster;
use metamers::network::{ClassScore, Network};
use metamers::similarity::WELL_MATCHED_DB;
use metamers::stimulus::{Image, Sound, Stimulus, StimulusKind};
use metamers::synthesis::{Metamer, Recipe, Run, Stop, StopReason, Synthesis};
use metamers::verdict::NullDistribution;
use metamers::{Error, Result, zoo};

use crate::request::{ClassInfo, MetamerInfo, NetworkInfo, ProgressInfo, Reply, Request, Size, StageInfo, VerdictInfo};

/// The number of classes shown for an original.
const NUM_CLASSES: usize = 3;

/// A reply and the bytes that travel beside it: pictures as RGBA, sounds as WAV, files.
pub struct Answer {
    pub reply: Reply,
    pub parts: Vec<Vec<u8>>,
}

/// The state of a page.
#[derive(Default)]
pub struct Session {
    network: Option<Network>,
    null: Option<NullDistribution>,
    original: Option<Stimulus>,
    run: Option<Run>,
    metamer: Option<Metamer>,
    /// The number of evaluations that the page has been told of.
    reported: usize,
}

impl Session {
    /// Handles a request; errors become a reply.
    pub fn handle(&mut self, request: Request, bytes: Vec<u8>) -> Answer {
        self.try_handle(request, bytes)
            .unwrap_or_else(|e| Answer { reply: Reply::Error { error: e.to_string() }, parts: vec![] })
    }

    fn try_handle(&mut self, request: Request, bytes: Vec<u8>) -> Result<Answer> {
        match request {
            Request::Provide { path } => {
                crate::provide_file(path, bytes);
                Ok(Answer { reply: Reply::Done, parts: vec![] })
            }
            Request::Load { network } => self.load(&network),
            Request::Original { name } => {
                let original = match self.network()?.input().kind() {
                    StimulusKind::Sound => Sound::from_bytes_scaled(&bytes)?.with_name(name).into(),
                    _ => Image::from_bytes(&bytes)?.with_name(name).into(),
                };
                self.set_original(original)
            }
            Request::Recording { name, sample_rate } => {
                let samples = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                // Loud MP3 files go beyond full scale. The level is set later, so that a division loses nothing.
                self.set_original(Sound::from_samples_scaled(name, sample_rate, samples)?.into())
            }
            Request::Start { stage, recipe, seed } => self.start(&stage, &recipe, &seed),
            Request::Step { milliseconds, until } => self.step(milliseconds, until),
            Request::Draw => {
                let (network, run) = (self.network()?, self.run()?);
                let picture = network.thumbnail(&run.current(), run.original());
                Ok(Answer { reply: Reply::Picture { picture: size(&picture) }, parts: vec![rgba(&picture)] })
            }
            Request::Finish => self.finish(),
            Request::Save { format } => self.save(&format),
        }
    }

    fn network(&self) -> Result<&Network> {
        self.network.as_ref().ok_or_else(|| Error::invalid("page", "has no network yet"))
    }

    fn run(&self) -> Result<&Run> {
        self.run.as_ref().ok_or_else(|| Error::invalid("page", "has no synthesis yet"))
    }

    fn load(&mut self, name: &str) -> Result<Answer> {
        let network = zoo::by_name(name)?;
        *self = Self::default();
        self.null = NullDistribution::find_shipped(&network)?;
        let kind = network.input().kind();
        let stages = network.stages().iter();
        let info = NetworkInfo {
            name: network.name().into(),
            kind,
            instructions: metamers::engine::Isa::selected()?.to_string(),
            stages: stages.map(|s| StageInfo { name: s.name.clone(), shape: s.shape.clone(), macs: s.macs }).collect(),
            recipes: Recipe::presets_for(kind).into_iter().map(|recipe| recipe.name).collect(),
        };
        self.network = Some(network);
        Ok(Answer { reply: Reply::Network(info), parts: vec![] })
    }

    /// Sets the original, as the network receives it.
    fn set_original(&mut self, stimulus: Stimulus) -> Result<Answer> {
        let network = self.network()?;
        let original = network.prepare_at_training_level(stimulus)?;
        let classes = match network.classes() {
            Some(_) => network.classify(&original, NUM_CLASSES)?.scores().iter().map(class).collect(),
            None => vec![],
        };
        let picture = network.thumbnail(&original, &original);
        let mut parts = vec![rgba(&picture)];
        let seconds = original.sound().ok().map(|sound| {
            parts.push(sound.to_wav16());
            sound.seconds()
        });
        (self.original, self.run, self.metamer) = (Some(original), None, None);
        Ok(Answer { reply: Reply::Original { classes, picture: size(&picture), seconds }, parts })
    }

    fn start(&mut self, stage: &str, recipe: &str, seed: &str) -> Result<Answer> {
        let seed = seed.trim().parse().map_err(|_| {
            Error::invalid("seed", format!("must be a whole number from 0 to {}, got \"{seed}\"", u64::MAX))
        })?;
        let network = self.network()?;
        let Some(original) = &self.original else { return Err(Error::invalid("page", "has no original yet")) };
        let synthesis = Synthesis::new(network, stage, original.clone())?.recipe(Recipe::by_name(recipe)?);
        (self.run, self.metamer, self.reported) = (Some(synthesis.seed(seed).quiet().start()?), None, 0);
        self.progress(None)
    }

    fn step(&mut self, milliseconds: f64, until: f64) -> Result<Answer> {
        let Some(run) = &mut self.run else { return Err(Error::invalid("page", "has no synthesis yet")) };
        let time = Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::ZERO);
        let stop = if until.is_finite() { Stop::snr(until).or_after(time) } else { Stop::after(time) };
        let ended = match run.advance(stop)?.stop_reason {
            StopReason::Time => None,
            reason => Some(reason.to_string()),
        };
        self.progress(ended)
    }

    fn progress(&mut self, ended: Option<String>) -> Result<Answer> {
        let run = self.run.as_ref().ok_or_else(|| Error::invalid("page", "has no synthesis yet"))?;
        let points = run.history().iter().skip(self.reported).map(|p| (p.evaluation, p.snr_db, p.loss)).collect();
        self.reported = run.history().len();
        let info = ProgressInfo {
            ended,
            steps: run.steps(),
            evaluations: run.evaluations(),
            seconds: run.history().last().map_or(0.0, |p| p.seconds),
            snr_db: run.snr_db(),
            points,
        };
        Ok(Answer { reply: Reply::Progress(info), parts: vec![] })
    }

    fn finish(&mut self) -> Result<Answer> {
        let metamer = self.run()?.finish()?;
        let verdict = match &self.null {
            Some(null) => metamer.verdict(null).map_err(|e| e.to_string()),
            None => Err("no null distribution ships with this network".into()),
        };
        let similarity = metamer.similarity();
        let picture = self.network()?.thumbnail(metamer.stimulus(), metamer.original());
        let mut parts = vec![rgba(&picture)];
        parts.extend(metamer.sound().ok().map(Sound::to_wav16));
        let info = MetamerInfo {
            snr_db: similarity.snr_db,
            spearman: similarity.spearman,
            pearson: similarity.pearson,
            well_matched: similarity.snr_db.is_some_and(|snr| snr >= WELL_MATCHED_DB),
            original: metamer.original_class().map(|c| class(c.top())),
            metamer: metamer.metamer_class().map(|c| class(c.top())),
            recipe: metamer.provenance().recipe.name.clone(),
            prior: metamer.prior().to_string(),
            verdict: verdict.map(|v| VerdictInfo {
                symbol: v.outcome.symbol().into(),
                outcome: v.outcome.to_string(),
                grade: v.grade().to_string(),
                reason: v.reason,
            }),
            picture: size(&picture),
        };
        self.metamer = Some(metamer);
        Ok(Answer { reply: Reply::Metamer(Box::new(info)), parts })
    }

    fn save(&self, format: &str) -> Result<Answer> {
        let Some(metamer) = &self.metamer else { return Err(Error::invalid("page", "has no metamer yet")) };
        let (extension, bytes) = match format {
            "png" => ("png", Raster::from(metamer.image()?).png()),
            "wav" => ("wav", metamer.sound()?.to_wav()),
            "metamer" => ("metamer", metamer.to_bytes()?),
            other => return Err(Error::unknown("format", other, ["png", "wav", "metamer"])),
        };
        Ok(Answer { reply: Reply::File { extension }, parts: vec![bytes] })
    }
}

fn class(score: &ClassScore) -> ClassInfo {
    ClassInfo { name: score.name.clone(), probability: score.probability }
}

fn size(picture: &Raster) -> Size {
    Size { width: picture.width(), height: picture.height() }
}

/// The pixels as a canvas takes them.
fn rgba(picture: &Raster) -> Vec<u8> {
    picture.rgb().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect()
}
