//! What a training looks like while it runs.

use std::sync::Arc;
use std::time::Duration;

use super::run::{HeldOut, LossPoint, TrainingRun};
use crate::display::{Figure, LinePlot, Live, LiveView, MimeBundle, Panel, Show, duration, show_bundles};
use crate::synthesis::StopReason;

/// The loss of a batch jumps; the mean of so many is drawn beside it.
const SMOOTH: usize = 25;

/// A training at one moment.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub title: String,
    pub losses: Arc<Vec<LossPoint>>,
    pub tests: Arc<Vec<HeldOut>>,
    pub chance: f64,
    pub elapsed: Duration,
}

impl Snapshot {
    fn recent_loss(&self) -> Option<f64> {
        let recent = &self.losses[self.losses.len().saturating_sub(SMOOTH)..];
        (!recent.is_empty()).then(|| recent.iter().map(|p| p.loss).sum::<f64>() / recent.len() as f64)
    }

    fn words(&self) -> String {
        let mut words = format!("{} steps, {}", self.losses.len(), duration(self.elapsed));
        if let Some(loss) = self.recent_loss() {
            words += &format!(": loss {loss:.3}");
        }
        if let Some(test) = self.tests.last() {
            words += &format!(", held out {} of {} right ({:.1} %)", test.right, test.total, 100.0 * test.accuracy());
        }
        words
    }

    fn figure(&self, left: Option<Duration>) -> Figure {
        let words = self.words();
        let caption = left.map_or_else(|| words.clone(), |left| format!("{words}; {} left", duration(left)));
        let each = self.losses.iter().map(|p| (p.step as f64, p.loss)).collect();
        let mean = self.losses.windows(SMOOTH).map(|window| {
            let mean = window.iter().map(|p| p.loss).sum::<f64>() / SMOOTH as f64;
            (window[SMOOTH - 1].step as f64, mean)
        });
        let loss = LinePlot::new("loss on the examples")
            .x_label("steps")
            .y_label("cross-entropy (nats)")
            .series("a batch", each)
            .series(format!("mean of {SMOOTH}"), mean.collect());
        let right = self.tests.iter().map(|t| (t.step as f64, t.accuracy())).collect();
        let right = LinePlot::new("right answers to held-out examples")
            .x_label("steps")
            .y_label("fraction right")
            .y_range(0.0, 1.0)
            .series("", right)
            .reference_line(self.chance, "chance");
        Figure::new(format!("Training {}: loss and right answers against steps; {words}", self.title))
            .title(format!("training {}", self.title))
            .row([Panel::plot(loss).caption(caption), Panel::plot(right)])
    }
}

/// Where a training is after a call of [`TrainingRun::step`] and its like.
#[derive(Clone)]
pub struct TrainingProgress {
    /// Why the call returned.
    pub stop_reason: StopReason,
    pub(super) snapshot: Snapshot,
    /// The live place that shows this; none for a quiet training.
    pub(super) place: Option<Arc<Live>>,
}

impl TrainingProgress {
    /// Steps since the start.
    pub fn steps(&self) -> usize {
        self.snapshot.losses.len()
    }

    /// The mean loss of the last 25 steps, in nats; `None` before the first.
    pub fn loss(&self) -> Option<f64> {
        self.snapshot.recent_loss()
    }

    /// The share of held-out examples that are right, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.snapshot.tests.last().map_or(0.0, HeldOut::accuracy)
    }

    /// What a notebook calls when this is the last value of a cell; a live place that shows it already is enough.
    pub fn evcxr_display(&self) {
        if self.place.as_ref().is_none_or(|place| !place.shown()) {
            show_bundles(&self.mime_bundles());
        }
    }
}

impl std::fmt::Display for TrainingProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.snapshot.words(), self.stop_reason)
    }
}

impl std::fmt::Debug for TrainingProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrainingProgress({self})")
    }
}

impl Show for TrainingProgress {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![self.snapshot.figure(None).bundle(self.to_string())]
    }
}

impl Show for TrainingRun {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let snapshot = self.snapshot();
        vec![snapshot.figure(None).bundle(format!("{}\n{}", snapshot.title, snapshot.words()))]
    }
}

crate::show_in_notebooks!(TrainingRun);

/// The live output of a training, one in each cell that steps it.
#[derive(Default)]
pub(super) struct TrainingView(LiveView);

impl TrainingView {
    /// Returns whether it is time for another update.
    pub fn is_due(&self) -> bool {
        self.0.is_due()
    }

    /// Shows the training so far, with an estimate of the time left.
    pub fn update(&mut self, snapshot: &Snapshot, left: Option<Duration>) {
        self.0.update(|| snapshot.figure(left).bundle(snapshot.words()));
    }

    /// Shows the training at the end of a call, and returns the live output.
    pub fn finish(&mut self, snapshot: &Snapshot) -> Arc<Live> {
        self.0.finish(|| snapshot.figure(None).bundle(snapshot.words()));
        self.0.place()
    }
}
