//! What a run and a metamer look like.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::Point;
use super::metamer::Metamer;
use super::progress::Progress;
use super::run::Run;
use crate::display::{
    Bundle, Figure, HeatMap, LinePlot, Live, Palette, Panel, Player, Players, Raster, Show, duration, show_bundles,
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
    network.nodes().iter().find_map(|node| node.layer.as_op::<Cochleagram>().cloned())
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

/// So many pictures are drawn at the ends of calls, however fast these follow each other.
const AT_ONCE: f64 = 8.0;

/// Pictures that may be drawn: some at once, so that a short loop shows its end, and no more than half of the time in
/// the long run.
struct Allowance {
    pictures: f64,
    asked: Option<Instant>,
}

impl Allowance {
    /// Whether one more may be drawn now, when a drawing takes `cost`.
    fn take(&mut self, now: Instant, cost: Duration) -> bool {
        if let Some(asked) = self.asked.replace(now) {
            let passed = now.saturating_duration_since(asked).as_secs_f64();
            self.pictures = (self.pictures + passed / (2.0 * cost.as_secs_f64()).max(1e-9)).min(AT_ONCE);
        }
        let allowed = self.pictures >= 1.0;
        if allowed {
            self.pictures -= 1.0;
        }
        allowed
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self { pictures: AT_ONCE, asked: None }
    }
}

/// The place in a notebook where a run is watched: one in each cell that steps it.
pub(super) struct Screen {
    place: Arc<Live>,
    drawn: Option<Instant>,
    /// Pictures at the ends of calls that may still be drawn.
    allowance: Allowance,
    /// How long the last drawing took.
    cost: Duration,
}

impl Screen {
    /// Whether it is time for another picture: at most twice a second, and at most a tenth of the time.
    pub fn is_due(&self) -> bool {
        let pause = Duration::from_millis(500).max(self.cost * 9);
        Live::is_on() && self.drawn.is_none_or(|drawn| drawn.elapsed() >= pause)
    }

    pub fn update(&mut self, snapshot: &Snapshot, left: Option<(f64, Option<Duration>)>) {
        let begun = Instant::now();
        let bundle = snapshot.figure(left).bundle(snapshot.words());
        self.place.update(&bundle);
        self.cost = begun.elapsed();
        self.drawn = Some(Instant::now());
    }

    pub fn place(&self) -> Arc<Live> {
        Arc::clone(&self.place)
    }

    /// Shows the last picture of a call; whether there is a place that shows it.
    ///
    /// Not at each end in a long loop of calls that are shorter than a drawing.
    pub fn finish(&mut self, snapshot: &Snapshot) -> bool {
        let draws = Live::is_on() && self.allowance.take(Instant::now(), self.cost);
        if draws {
            self.update(snapshot, None);
        }
        draws
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            place: Arc::new(Live::in_each_cell()),
            drawn: None,
            allowance: Allowance::default(),
            cost: Duration::ZERO,
        }
    }
}

impl Show for Progress {
    fn mime_bundles(&self) -> Vec<Bundle> {
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
    fn mime_bundles(&self) -> Vec<Bundle> {
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
    fn mime_bundles(&self) -> Vec<Bundle> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `calls` calls, each this long, draw, when a drawing takes 200 ms.
    fn drawn(calls: usize, call: Duration) -> usize {
        let (mut allowance, mut now, mut drawn) = (Allowance::default(), Instant::now(), 0);
        for _ in 0..calls {
            now += call;
            if allowance.take(now, Duration::from_millis(200)) {
                now += Duration::from_millis(200);
                drawn += 1;
            }
        }
        drawn
    }

    #[test]
    fn a_loop_of_short_calls_spends_half_its_time_on_pictures_at_most() {
        assert_eq!(drawn(8, Duration::from_millis(10)), 8, "a short loop shows every end");
        let calls = drawn(1000, Duration::from_millis(10));
        // 10 s of work, as much again for pictures, and those that are drawn at once with what they make up for.
        assert!((50..=66).contains(&calls), "{calls} pictures");
        assert_eq!(drawn(50, Duration::from_millis(500)), 50, "long calls show every end");
    }
}
