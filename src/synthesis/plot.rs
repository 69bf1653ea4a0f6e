//! What a run and a metamer look like.

use std::sync::Arc;
use std::time::Duration;

use super::history::Point;
use super::metamer::Metamer;
use super::progress::Progress;
use super::run::Run;
use crate::display::{
    Figure, HeatMap, LinePlot, Live, LiveView, MimeBundle, Palette, Panel, Player, Players, Raster, Show, duration,
    show_bundles,
};
use crate::hearing::Cochleagram;
use crate::network::Classification;
use crate::network::Network;
use crate::stimulus::{Sound, Stimulus};
use crate::verdict::WELL_MATCHED_DB;

/// A run at one moment; all but the present picture is shared with it.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub title: String,
    pub network: Network,
    pub original: Stimulus,
    pub current: Stimulus,
    pub gradient: Arc<Vec<f32>>,
    pub points: Arc<Vec<Point>>,
    pub steps: usize,
    pub elapsed: Duration,
}

/// The gradient summed over the colours; `None` when there is none yet, or the stimulus is no picture.
pub(super) fn gradient_map(gradient: &[f32], original: &Stimulus) -> Option<HeatMap> {
    let Stimulus::Image(image) = original else { return None };
    let (width, height) = (image.width(), image.height());
    let plane = width * height;
    if plane == 0 || gradient.len() != 3 * plane {
        return None;
    }
    let sum = |i: usize| gradient[i] + gradient[plane + i] + gradient[2 * plane + i];
    let values: Vec<f32> = (0..plane).map(sum).collect();
    let largest = values.iter().fold(0.0f32, |a, v| a.max(v.abs())).max(f32::MIN_POSITIVE);
    let scaled = values.iter().map(|v| v / largest).collect();
    let map = HeatMap::new("gradient of the loss", height, width, scaled).palette(Palette::Diverging).square().robust();
    Some(map.value_label("share of its largest value"))
}

/// Signal-to-noise ratio against evaluations.
pub(super) fn curve(points: &[Point]) -> LinePlot {
    let line = points.iter().map(|p| (p.evaluation as f64, p.snr_db)).collect();
    LinePlot::new("match at the stage")
        .x_label("gradient evaluations")
        .y_label("SNR (dB)")
        .series("", line)
        .reference_line(WELL_MATCHED_DB, format!("{WELL_MATCHED_DB:.0} dB: well matched"))
}

fn loss(points: &[Point]) -> LinePlot {
    let line = points.iter().map(|p| (p.evaluation as f64, p.loss)).collect();
    LinePlot::new("loss").x_label("gradient evaluations").y_label("loss").log_y().series("", line)
}

/// The cochleagram that a network begins with.
pub(super) fn ear(network: &Network) -> Option<Cochleagram> {
    network.nodes().iter().find_map(|node| node.layer.as_op().cloned())
}

/// A sound as the network hears it, or its spectrogram.
fn heard(sound: &Sound, ear: Option<&Cochleagram>) -> HeatMap {
    ear.and_then(|ear| ear.show(sound).ok()).unwrap_or_else(|| sound.spectrogram())
}

/// A picture as it is; a sound without axes, on the scale of another.
pub(super) fn thumbnail(stimulus: &Stimulus, on_scale_of: &Stimulus, ear: Option<&Cochleagram>) -> Raster {
    match (stimulus, on_scale_of) {
        (Stimulus::Image(image), _) => Raster::from(image),
        (Stimulus::Sound(sound), Stimulus::Sound(other)) => heard(sound, ear).on_scale_of(&heard(other, ear)).raster(),
        (Stimulus::Sound(sound), _) => heard(sound, ear).raster(),
    }
}

/// Original and metamer: pictures as they are; sounds as the cochleagram that the network hears, or as their spectrogram, on one
/// scale of colours.
pub(super) fn look(original: &Stimulus, made: &Stimulus, ear: Option<&Cochleagram>, title: &str) -> [Panel; 2] {
    match (original, made) {
        (Stimulus::Sound(original), Stimulus::Sound(made)) => {
            let before = heard(original, ear).titled("original");
            let after = heard(made, ear).titled(title).on_scale_of(&before);
            [before, after].map(Panel::heat)
        }
        _ => [Panel::from(original).titled("original"), Panel::from(made).titled(title)],
    }
}

impl Snapshot {
    fn words(&self) -> String {
        let (steps, elapsed) = (self.steps, duration(self.elapsed));
        match self.points.last() {
            Some(p) => format!("{steps} steps, {} evaluations, {elapsed}\nSNR {:.1} dB", p.evaluation, p.snr_db),
            None => "before the first step".into(),
        }
    }

    fn figure(&self, left: Option<(f64, Option<Duration>)>) -> Figure {
        let words = self.words();
        let caption = match left {
            Some((_, Some(left))) => format!("{words}, {} left at most", duration(left)),
            _ => words.clone(),
        };
        let alt = format!("{}: original, metamer so far and loss curve; {}", self.title, words.replace('\n', ", "));
        let ear = ear(&self.network);
        let [original, current] = look(&self.original, &self.current, ear.as_ref(), "metamer so far");
        let mut panels = vec![original.caption(self.original.name()), current.caption(caption)];
        if let Some(gradient) = gradient_map(&self.gradient, &self.original) {
            panels.push(Panel::heat(gradient));
        }
        Figure::new(alt)
            .title(&self.title)
            .row(panels)
            .row([Panel::plot(loss(&self.points)), Panel::plot(curve(&self.points))])
    }
}

/// The live output of a run, one in each cell that steps it.
#[derive(Default)]
pub(super) struct Screen(LiveView);

impl Screen {
    /// Returns whether it is time for another update.
    pub fn is_due(&self) -> bool {
        self.0.is_due()
    }

    /// Shows the run so far, with an estimate of the time left.
    pub fn update(&mut self, snapshot: &Snapshot, left: Option<(f64, Option<Duration>)>) {
        self.0.update(|| snapshot.figure(left).bundle(snapshot.words()));
    }

    pub fn place(&self) -> Arc<Live> {
        self.0.place()
    }

    /// Shows the run at the end of a call. Returns whether it is shown: not after each call in a loop of very short ones.
    pub fn finish(&mut self, snapshot: &Snapshot) -> bool {
        self.0.finish_throttled(|| snapshot.figure(None).bundle(snapshot.words()))
    }
}

impl Show for Progress {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![self.snapshot.figure(None).bundle(self.to_string())]
    }
}

impl Progress {
    /// What a notebook calls when this is the last value of a cell; a live place that shows it already is enough.
    pub fn evcxr_display(&self) {
        match &self.place {
            _ if self.shown => {}
            Some(place) if Live::is_on() => place.update(self),
            _ => show_bundles(&self.mime_bundles()),
        }
    }
}

impl Show for Run {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let snapshot = self.snapshot();
        vec![snapshot.figure(None).bundle(format!("{}\n{}", snapshot.title, snapshot.words()))]
    }
}

fn answer(class: Option<&Classification>) -> String {
    class.map_or_else(String::new, |c| format!("{} ({:.0} %)", c.top().name, 100.0 * c.top().probability))
}

/// The line of a caption that tells the network's answer, if it gives one.
fn says(answer: &str) -> String {
    if answer.is_empty() { String::new() } else { format!("network: {answer}\n") }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "undefined".into(), |v| format!("{v:.digits$}"))
}

impl Show for Metamer {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let (s, stamp) = (self.similarity, self.provenance());
        // A network of one stage alone may be called as that stage is.
        let of = if stamp.network == stamp.stage { String::new() } else { format!(" of {}", stamp.network) };
        let title = format!("{} at stage {}{of}", stamp.original, stamp.stage);
        let measures =
            format!("ρ {}, r {}, SNR {} dB", number(s.spearman, 3), number(s.pearson, 3), number(s.snr_db, 1));
        let (original, metamer) = (answer(self.original_class()), answer(self.metamer_class()));
        let mut text = format!("metamer of {title}\n{measures}");
        let mut alt = format!("Original and metamer of {title}. {measures}.");
        if !original.is_empty() && !metamer.is_empty() {
            text += &format!("\noriginal: {original}\nmetamer: {metamer}");
            alt += &format!(" Network's answers: {original}; {metamer}.");
        }
        let [before, after] = look(&self.original, &self.stimulus, self.ear.as_ref(), "metamer");
        let panels = [before.caption(says(&original)), after.caption(format!("{}{measures}", says(&metamer)))];
        let curve = Panel::plot(curve(&self.history)).width(1.4);
        let figure = Figure::new(alt).title(title);
        match (&self.original, &self.stimulus) {
            (Stimulus::Sound(original), Stimulus::Sound(metamer)) => {
                let player =
                    |name: &str, sound: &Sound| Player::new(name, sound.sample_rate(), sound.values().to_vec());
                let players = Players::shared([player("original", original), player("metamer", metamer)]);
                vec![players.bundle(), figure.row(panels).row([curve]).bundle(text)]
            }
            _ => vec![figure.row(panels.into_iter().chain([curve])).bundle(text)],
        }
    }
}

crate::show_in_notebooks!(Run, Metamer);
