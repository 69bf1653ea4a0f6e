//! Figures of runs and metamers.

use std::sync::Arc;
use std::time::Duration;

use super::history::{Point, TargetCurves};
use super::metamer::Metamer;
use super::output_metadata::annotated;
use super::problem::TargetMatch;
use super::progress::Progress;
use super::provenance::Provenance;
use super::run::Run;
use super::snapshot::Snapshot;
use crate::display::{
    Figure, HeatMap, LinePlot, Live, LiveView, MimeBundle, Palette, Panel, Players, Raster, Show, duration,
    show_bundles,
};
use crate::hearing::Cochleagram;
use crate::network::Classification;
use crate::network::Network;
use crate::similarity::WELL_MATCHED_DB;
use crate::stimulus::{Sound, Stimulus};

/// A map of the gradient summed over the colors; `None` without a gradient and for sounds.
pub(super) fn gradient_map(gradient: &[f32], original: &Stimulus) -> Option<HeatMap> {
    let Stimulus::Image(image) = original else { return None };
    let (width, height) = (image.width(), image.height());
    let plane = width * height;
    if plane == 0 || gradient.len() != image.channels() * plane {
        return None;
    }
    let sum = |i: usize| gradient[i..].iter().step_by(plane).sum::<f32>();
    let values: Vec<f32> = (0..plane).map(sum).collect();
    let largest = values.iter().fold(0.0f32, |a, v| a.max(v.abs())).max(f32::MIN_POSITIVE);
    let scaled = values.iter().map(|v| v / largest).collect();
    let map = HeatMap::new("gradient of the loss", height, width, scaled).palette(Palette::Diverging).square().robust();
    Some(map.value_label("fraction of the largest value"))
}

/// Signal-to-noise ratio against evaluations.
pub(super) fn snr_plot(points: &[Point], targets: &TargetCurves) -> LinePlot {
    let line: Vec<(f64, f64)> = points.iter().map(|p| (p.evaluation as f64, p.snr_db)).collect();
    let several = !targets.snr_db.is_empty();
    let plot = LinePlot::new(if several { "match" } else { "match at the stage" });
    let plot =
        plot.x_label("gradient evaluations").y_label("SNR (dB)").series(if several { "joint" } else { "" }, line);
    let curve = |target: usize| {
        let values = targets.snr_db.iter().filter_map(|row| row.get(target).copied());
        points.iter().map(|p| p.evaluation as f64).zip(values).collect::<Vec<(f64, f64)>>()
    };
    let names = if several { targets.names.as_slice() } else { &[] };
    let plot = names.iter().enumerate().fold(plot, |plot, (i, name)| plot.dashed(name, curve(i)));
    plot.reference_line(WELL_MATCHED_DB, format!("{WELL_MATCHED_DB:.0} dB: well matched"))
}

fn loss_plot(points: &[Point]) -> LinePlot {
    let line = points.iter().map(|p| (p.evaluation as f64, p.loss)).collect();
    LinePlot::new("loss").x_label("gradient evaluations").y_label("loss").log_y().series("", line)
}

/// The cochleagram layer of a network; `None` when it has none.
pub(super) fn network_cochleagram(network: &Network) -> Option<Cochleagram> {
    network.nodes().iter().find_map(|node| node.layer.as_op().cloned())
}

/// The cochleagram of a sound, or its spectrogram when the network has no cochleagram.
fn time_frequency_map(sound: &Sound, cochleagram: Option<&Cochleagram>) -> HeatMap {
    cochleagram.and_then(|cochleagram| cochleagram.heat_map(sound).ok()).unwrap_or_else(|| sound.spectrogram())
}

/// The image, or the time-frequency map of a sound without axes, on the color scale of the `reference`.
pub(super) fn thumbnail(stimulus: &Stimulus, reference: &Stimulus, cochleagram: Option<&Cochleagram>) -> Raster {
    match stimulus {
        Stimulus::Image(image) => Raster::from(image),
        Stimulus::Sound(sound) => scaled_map(sound, reference, cochleagram).raster(),
    }
}

/// The time-frequency map of a sound on the color scale of the `reference`.
pub(super) fn scaled_map(sound: &Sound, reference: &Stimulus, cochleagram: Option<&Cochleagram>) -> HeatMap {
    let Stimulus::Sound(other) = reference else { return time_frequency_map(sound, cochleagram) };
    let of = |sound: &Sound| cochleagram.and_then(|cochleagram| cochleagram.heat_map(sound).ok());
    match (of(sound), of(other)) {
        (Some(map), Some(scale)) => map.on_scale_of(&scale),
        _ => sound.spectrogram_relative_to(other),
    }
}

impl Network {
    /// Draws a stimulus without axes: an image, or the cochleagram of a sound on the color scale of `reference`. A network without a
    /// cochleagram gives a spectrogram.
    pub fn thumbnail(&self, stimulus: &Stimulus, reference: &Stimulus) -> Raster {
        thumbnail(stimulus, reference, network_cochleagram(self).as_ref())
    }
}

/// Panels of original and metamer: images, or the time-frequency maps of sounds on one color scale.
pub(super) fn stimulus_panels(
    original: &Stimulus,
    metamer: &Stimulus,
    cochleagram: Option<&Cochleagram>,
    title: &str,
) -> [Panel; 2] {
    match (original, metamer) {
        (Stimulus::Sound(sound), Stimulus::Sound(metamer)) => {
            let before = time_frequency_map(sound, cochleagram).with_title("original");
            let after = scaled_map(metamer, original, cochleagram).with_title(title);
            [before, after].map(Panel::heat_map)
        }
        _ => [Panel::from(original).with_title("original"), Panel::from(metamer).with_title(title)],
    }
}

impl Snapshot {
    fn caption(&self) -> String {
        let (steps, elapsed) = (self.steps, duration(self.elapsed));
        match self.points.last() {
            Some(p) => format!("{steps} steps, {} evaluations, {elapsed}\nSNR {:.1} dB", p.evaluation, p.snr_db),
            None => "before the first step".into(),
        }
    }

    fn figure(&self, left: Option<(f64, Option<Duration>)>) -> Figure {
        let state = self.caption();
        let caption = match left {
            Some((_, Some(left))) => format!("{state}, {} left at most", duration(left)),
            _ => state.clone(),
        };
        let alt = format!("{}: original, metamer so far and loss curve; {}", self.title, state.replace('\n', ", "));
        let cochleagram = network_cochleagram(&self.network);
        let [original, current] =
            stimulus_panels(&self.original, &self.current, cochleagram.as_ref(), "metamer so far");
        let mut panels = vec![original.caption(self.original.name()), current.caption(caption)];
        if let Some(gradient) = gradient_map(&self.gradient, &self.original) {
            panels.push(Panel::heat_map(gradient));
        }
        Figure::new(alt)
            .title(&self.title)
            .row(panels)
            .row([Panel::plot(loss_plot(&self.points)), Panel::plot(snr_plot(&self.points, &self.targets))])
    }
}

/// The live output of a run, one in each cell that steps it.
#[derive(Default)]
pub(super) struct RunView(LiveView);

impl RunView {
    /// Begins a call, at whose end the run is shown.
    pub fn begin(&mut self) {
        self.0.begin();
    }

    /// Returns whether it is time for another update.
    pub fn is_due(&self) -> bool {
        self.0.is_due()
    }

    /// Shows the run so far, with an estimate of the time left.
    pub fn update(&mut self, snapshot: &Snapshot, left: Option<(f64, Option<Duration>)>) {
        self.0.update(|| snapshot.figure(left).bundle(snapshot.caption()));
    }

    pub fn place(&self) -> Arc<Live> {
        self.0.place()
    }

    /// Shows the run at the end of a call. Returns whether it is shown: in a loop of very short calls, only some are.
    pub fn finish(&mut self, snapshot: &Snapshot) -> bool {
        self.0.finish_throttled(|| snapshot.figure(None).bundle(snapshot.caption()))
    }
}

impl Show for Progress {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![self.snapshot.figure(None).bundle(self.to_string())]
    }
}

impl Progress {
    /// Displays the progress as the last value of a notebook cell. Does nothing when the live output already displays it.
    pub fn evcxr_display(&self) {
        match &self.live {
            _ if self.displayed => {}
            Some(live) if Live::is_on() => live.update(self),
            _ => show_bundles(&self.mime_bundles()),
        }
    }
}

impl Show for Run {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let snapshot = self.snapshot();
        vec![snapshot.figure(None).bundle(format!("{}\n{}", snapshot.title, snapshot.caption()))]
    }
}

fn class_label(class: Option<&Classification>) -> String {
    class.map_or_else(String::new, |c| format!("{} ({:.0} %)", c.top().name, 100.0 * c.top().probability))
}

/// The caption's line with the network's class; empty for a network that is not a classifier.
fn class_line(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!("network: {label}\n") }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "undefined".into(), |v| format!("{v:.digits$}"))
}

impl Show for Metamer {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let (s, provenance) = (self.similarity, self.provenance());
        // A network of a single stage may have the name of that stage.
        let Provenance { network, stage, original, .. } = provenance;
        let of_network = if network == stage { String::new() } else { format!(" of {network}") };
        let stages = if self.matches.len() > 1 { "stages" } else { "stage" };
        let title = format!("{original} at {stages} {stage}{of_network}");
        let measures =
            format!("ρ {}, r {}, SNR {} dB", number(s.spearman, 3), number(s.pearson, 3), number(s.snr_db, 1));
        let (original, metamer) = (class_label(self.original_class()), class_label(self.metamer_class()));
        let mut text = format!("metamer of {title}\n{measures}");
        if self.matches.len() > 1 {
            for TargetMatch { target, similarity, .. } in &self.matches {
                text += &format!("\n{target}: SNR {} dB", number(similarity.snr_db, 1));
            }
        }
        let mut alt = format!("Original and metamer of {title}. {measures}.");
        if !original.is_empty() && !metamer.is_empty() {
            text += &format!("\noriginal: {original}\nmetamer: {metamer}");
            alt += &format!(" Network's answers: {original}; {metamer}.");
        }
        let [before, after] = stimulus_panels(&self.original, &self.stimulus, self.cochleagram.as_ref(), "metamer");
        let panels =
            [before.caption(class_line(&original)), after.caption(format!("{}{measures}", class_line(&metamer)))];
        let snr = Panel::plot(snr_plot(&self.history, &self.targets)).width(1.4);
        let figure = Figure::new(alt).title(title);
        match (&self.original, &self.stimulus) {
            (Stimulus::Sound(original), Stimulus::Sound(metamer)) => {
                let players = Players::shared([original.player_named("original"), metamer.player_named("metamer")]);
                vec![players.bundle(), annotated(figure.row(panels).row([snr]).bundle(text), self)]
            }
            _ => vec![annotated(figure.row(panels.into_iter().chain([snr])).bundle(text), self)],
        }
    }
}

crate::show_in_notebooks!(Run, Metamer);
