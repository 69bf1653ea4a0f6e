//! A tool that makes metamers in a notebook.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Instant;
use crate::display::widgets::{Button, Dropdown, HBox, Html, IntSlider, Label, SelectionSlider, Slider, VBox, Widget};
use crate::display::{MimeBundle, Show, escape};
use crate::network::Network;
use crate::similarity::WELL_MATCHED_DB;
use crate::stimulus::Stimulus;
use crate::synthesis::{Metamer, Recipe, Stop, StopReason, Synthesis};
use crate::verdict::NullDistribution;
use crate::{Error, Result};

/// The shortest time between two pictures of a running synthesis.
const INTERVAL: Duration = Duration::from_millis(400);
/// The synthesis goes on for this many times as long as a picture takes.
const STEPS_PER_DRAWING: u32 = 4;
const MAX_SEED: i64 = 99;

/// The orders to a running synthesis.
const GO: u8 = 0;
const STOP: u8 = 1;
/// Another one has taken its place.
const ABANDON: u8 = 2;

/// The choices with which a metamer is made: names of the original and the stage, seed, name of the recipe.
type Choice = (String, String, i64, String);

/// Controls for an original, a stage, a seed and a recipe, and buttons that start and stop the synthesis of a metamer, which is drawn live:
/// stimulus, curves, signal-to-noise ratio and verdict.
///
/// The synthesis runs beside the cells until it is well matched, at 20 dB, or stopped; [`Recipe::nearest`] turns back towards its noise at
/// 20 dB, and ends when it has settled. What has been made is kept: choosing it again shows it at once.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let photos = [Image::open("photos/dog.jpg")?, Image::open("photos/giant_panda.jpg")?];
/// let explorer = Explorer::new(&net, &photos)?;
/// assert!(explorer.mime_bundles()[0].plain().contains("dog"));
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct Explorer {
    root: VBox,
    shared: Arc<Shared>,
}

/// The controls, and what has been made with them.
struct Shared {
    network: Network,
    null: Option<NullDistribution>,
    /// The name under which a page can load the network; `None` if it does not ship.
    page: Option<String>,
    originals: BTreeMap<String, Stimulus>,
    original: Dropdown,
    stage: SelectionSlider,
    seed: IntSlider,
    recipe: Dropdown,
    stop: Button,
    status: Label,
    view: Html,
    made: Mutex<BTreeMap<Choice, Vec<MimeBundle>>>,
    /// The order to the synthesis that was started last.
    order: Mutex<Arc<AtomicU8>>,
}

impl Explorer {
    /// An explorer of a network with originals to choose from: images, or sounds for a network of hearing. Sounds get the level at which
    /// word networks were trained ([`Sound::prepare`](crate::stimulus::Sound::prepare)).
    ///
    /// # Errors
    /// When there is no original, two have the same name, or one does not suit the network or is silent; for a shipped null distribution
    /// that is damaged.
    pub fn new<S: Into<Stimulus>>(network: &Network, originals: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut prepared = BTreeMap::new();
        let mut names = Vec::new();
        for original in originals {
            let original = network.prepare_at_training_level(original)?;
            let name = match original.name() {
                "" => format!("original {}", names.len() + 1),
                name => name.replace('_', " "),
            };
            if prepared.insert(name.clone(), original).is_some() {
                return Err(Error::invalid("originals", format!("two are named {name}; rename one by with_name")));
            }
            names.push(name);
        }
        if names.is_empty() {
            return Err(Error::invalid("originals", "must be at least one"));
        }
        let recipes = Recipe::presets_for(network.input().kind());
        let stage = Slider::stages(network);
        stage.set(&network.stages()[network.stages().len() / 2].name);
        let shared = Arc::new(Shared {
            network: network.clone(),
            null: NullDistribution::find_shipped(network)?,
            page: crate::zoo::shipped_key(network).ok(),
            originals: prepared,
            original: Dropdown::new("original", names),
            stage,
            seed: Slider::int("seed", 0..=MAX_SEED),
            recipe: Dropdown::new("recipe", recipes.into_iter().map(|recipe| recipe.name)),
            stop: Button::new("stop"),
            status: Label::new(""),
            view: Html::new(""),
            made: Mutex::default(),
            order: Mutex::default(),
        });
        shared.stop.disable();
        shared.draw_choice();
        let start = Button::new("start");
        Shared::connect(&shared, &start);
        let buttons = HBox::new([start.widget(), shared.stop.widget(), shared.status.widget()]);
        let root = VBox::new([HBox::new(shared.controls()).widget(), buttons.widget(), shared.view.widget()]);
        Ok(Self { root, shared })
    }

    /// The metamers made so far, as they are shown.
    #[cfg(test)]
    fn made(&self) -> usize {
        lock(&self.shared.made).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Connects the controls with what they do.
    fn connect(this: &Arc<Self>, start: &Button) {
        // A cycle of references: what a page may show lives as long as the process.
        let shared = this.clone();
        start.on_click(move || Shared::start(&shared));
        let shared = this.clone();
        this.stop.on_click(move || lock(&shared.order).store(STOP, Ordering::SeqCst));
        for control in [&this.original, &this.recipe] {
            let shared = this.clone();
            control.on_change(move |_| shared.draw_choice());
        }
        let shared = this.clone();
        this.stage.on_change(move |_| shared.draw_choice());
        let shared = this.clone();
        this.seed.on_change(move |_| shared.draw_choice());
    }

    fn controls(&self) -> [Widget; 4] {
        [self.original.widget(), self.stage.widget(), self.seed.widget(), self.recipe.widget()]
    }

    fn choice(&self) -> Choice {
        (self.original.value(), self.stage.value(), self.seed.value(), self.recipe.value())
    }

    /// Shows the metamer of the current choice, or else the original. Leaves a running synthesis in view.
    fn draw_choice(&self) {
        if self.stop.widget().is_enabled() {
            return;
        }
        let choice = self.choice();
        let known = lock(&self.made).get(&choice).cloned();
        match (known, self.originals.get(&choice.0)) {
            (Some(bundles), _) => {
                self.view.show(bundles.as_slice());
                self.status.set("made before");
            }
            (None, Some(original)) => {
                self.view.show(original);
                self.status.set("press start");
            }
            (None, None) => {}
        }
    }

    /// Starts a synthesis of the current choice on a thread of its own, in place of a running one.
    fn start(this: &Arc<Self>) -> Result<(), String> {
        let order = Arc::new(AtomicU8::new(GO));
        std::mem::replace(&mut *lock(&this.order), Arc::clone(&order)).store(ABANDON, Ordering::SeqCst);
        this.stop.enable();
        this.status.set("starting");
        let shared = Arc::clone(this);
        let work = move || {
            let made = catch_unwind(AssertUnwindSafe(|| shared.synthesize(&order)));
            if order.load(Ordering::SeqCst) == ABANDON {
                return;
            }
            shared.stop.disable();
            match made {
                Ok(Ok(reason)) => shared.status.set(&reason),
                Ok(Err(error)) => {
                    shared.view.set(&format!(r#"<p role="alert">error: {}</p>"#, escape(&error.to_string())))
                }
                Err(_) => shared.view.set(r#"<p role="alert">the synthesis panicked; please report this</p>"#),
            }
        };
        std::thread::Builder::new().name("explorer".into()).spawn(work).map(drop).map_err(|error| error.to_string())
    }

    /// Makes the metamer of the current choice. Returns the reason why it ended.
    fn synthesize(&self, order: &AtomicU8) -> Result<String> {
        let choice = self.choice();
        let (name, stage, seed, recipe) = &choice;
        let original = self.originals.get(name).ok_or_else(|| Error::invalid("original", "is not chosen"))?;
        let recipe = Recipe::by_name(recipe)?;
        let synthesis = Synthesis::new(&self.network, stage, original)?.recipe(recipe).seed(seed.unsigned_abs());
        let mut run = synthesis.quiet().start()?;
        let mut interval = INTERVAL;
        let reason = loop {
            let progress = run.advance(Stop::snr(WELL_MATCHED_DB).or_after(interval))?;
            if progress.stop_reason != StopReason::Time {
                break progress.stop_reason.to_string();
            }
            match order.load(Ordering::SeqCst) {
                GO => {}
                STOP => break "stopped".into(),
                _ => return Ok(String::new()),
            }
            self.status.set(&format!("{} steps, SNR {:.1} dB", progress.steps, progress.snr_db));
            let drawing = Instant::now();
            self.view.show(&run);
            interval = INTERVAL.max(drawing.elapsed() * STEPS_PER_DRAWING);
        };
        let metamer = run.finish()?;
        let bundles = self.bundles(&metamer);
        if order.load(Ordering::SeqCst) != ABANDON {
            self.view.show(bundles.as_slice());
        }
        lock(&self.made).insert(choice, bundles);
        Ok(reason)
    }

    /// A metamer and, where there is a null distribution, its verdict.
    fn bundles(&self, metamer: &Metamer) -> Vec<MimeBundle> {
        let verdict = self.null.as_ref().and_then(|null| metamer.verdict(null).ok());
        [metamer.mime_bundles(), verdict.map(|verdict| verdict.mime_bundles()).unwrap_or_default()].concat()
    }
}

impl Show for Explorer {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let shared = &self.shared;
        let made = lock(&shared.made).get(&shared.choice()).cloned();
        let original = || shared.originals.get(&shared.original.value()).map(Show::mime_bundles).unwrap_or_default();
        let view = self.root.widget().view_of(&shared.controls(), &made.unwrap_or_else(original));
        // An exported page has no kernel; it links to the page of the network, which needs none.
        vec![match &shared.page {
            Some(key) => view.with_metadata("metamers", serde_json::json!({ "page": key })),
            None => view,
        }]
    }
}

impl std::fmt::Debug for Explorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Explorer({}, {} originals)", self.shared.network.name(), self.shared.originals.len())
    }
}

crate::show_in_notebooks!(Explorer);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stimulus::Image;

    fn explorer() -> Explorer {
        let photo = Image::open("photos/dog.jpg").unwrap();
        Explorer::new(&crate::zoo::efficientnet_lite0().unwrap(), [photo]).unwrap()
    }

    /// Waits until the synthesis has ended.
    fn wait(explorer: &Explorer) {
        let begun = Instant::now();
        while explorer.shared.stop.widget().is_enabled() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", explorer.shared.status.widget().text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_synthesis_starts_stops_and_is_looked_up() {
        let explorer = explorer();
        let shared = &explorer.shared;
        shared.stage.set("logits");
        Shared::start(shared).unwrap();
        while !shared.status.widget().text().contains("steps") {
            std::thread::sleep(Duration::from_millis(20));
        }
        lock(&shared.order).store(STOP, Ordering::SeqCst);
        wait(&explorer);
        assert_eq!((explorer.made(), shared.status.widget().text().as_str()), (1, "stopped"));
        shared.seed.set(1);
        shared.draw_choice();
        assert_eq!(shared.status.widget().text(), "press start");
        shared.seed.set(0);
        shared.draw_choice();
        assert_eq!(shared.status.widget().text(), "made before");
        assert!(explorer.mime_bundles()[0].plain().contains("metamer of dog at stage logits"));
    }

    #[test]
    fn originals_are_checked() {
        let net = crate::zoo::efficientnet_lite0().unwrap();
        let photo = Image::open("photos/dog.jpg").unwrap();
        let twice = Explorer::new(&net, [&photo, &photo]).unwrap_err().to_string();
        assert!(twice.contains("two are named dog"), "{twice}");
        assert!(Explorer::new(&net, Vec::<Image>::new()).unwrap_err().to_string().contains("at least one"));
    }

    #[test]
    fn sounds_have_the_level_of_word_networks() {
        let word = crate::stimulus::Sound::open("speech/seven.wav").unwrap();
        let explorer = Explorer::new(&crate::zoo::cochcnn_words().unwrap(), [word]).unwrap();
        let level = explorer.shared.originals["seven"].sound().unwrap().rms();
        assert!((level - 0.1).abs() < 1e-5, "{level}");
    }
}
