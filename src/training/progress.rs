//! Progress of a training: text, plots and live output.

use std::sync::Arc;
use std::time::Duration;

use super::run::{Evaluation, LossPoint, TrainingRun};
use crate::display::{Figure, LinePlot, Live, LiveView, MimeBundle, Panel, Show, duration, show_bundles};
use crate::synthesis::StopReason;

/// Window of the moving average of the loss, in steps.
const LOSS_WINDOW: usize = 25;

/// The state of a training at one time.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub title: String,
    pub losses: Arc<Vec<LossPoint>>,
    pub tests: Arc<Vec<Evaluation>>,
    pub chance: f64,
    pub elapsed: Duration,
}

impl Snapshot {
    fn recent_loss(&self) -> Option<f64> {
        let recent = &self.losses[self.losses.len().saturating_sub(LOSS_WINDOW)..];
        (!recent.is_empty()).then(|| recent.iter().map(|p| p.loss).sum::<f64>() / recent.len() as f64)
    }

    fn summary(&self) -> String {
        let mut summary = format!("{} steps, {}", self.losses.len(), duration(self.elapsed));
        if let Some(loss) = self.recent_loss() {
            summary += &format!(": loss {loss:.3}");
        }
        if let Some(test) = self.tests.last() {
            summary +=
                &format!(", held-out accuracy {}/{} ({:.1} %)", test.correct, test.total, 100.0 * test.accuracy());
        }
        summary
    }

    fn figure(&self, left: Option<Duration>) -> Figure {
        let summary = self.summary();
        let caption = left.map_or_else(|| summary.clone(), |left| format!("{summary}; {} left", duration(left)));
        let each = self.losses.iter().map(|p| (p.step as f64, p.loss)).collect();
        let mean = self.losses.windows(LOSS_WINDOW).map(|window| {
            let mean = window.iter().map(|p| p.loss).sum::<f64>() / LOSS_WINDOW as f64;
            (window[LOSS_WINDOW - 1].step as f64, mean)
        });
        let loss = LinePlot::new("training loss")
            .x_label("steps")
            .y_label("cross-entropy (nats)")
            .series("a batch", each)
            .series(format!("mean of {LOSS_WINDOW}"), mean.collect());
        let accuracy = self.tests.iter().map(|t| (t.step as f64, t.accuracy())).collect();
        let accuracy = LinePlot::new("accuracy on held-out examples")
            .x_label("steps")
            .y_label("accuracy")
            .y_range(0.0, 1.0)
            .series("", accuracy)
            .reference_line(self.chance, "chance");
        Figure::new(format!("Training {}: loss and accuracy by step; {summary}", self.title))
            .title(format!("training {}", self.title))
            .row([Panel::plot(loss).caption(caption), Panel::plot(accuracy)])
    }
}

/// Progress of a training after a call such as [`TrainingRun::step`].
#[derive(Clone)]
#[non_exhaustive]
pub struct TrainingProgress {
    /// The reason why the call returned.
    pub stop_reason: StopReason,
    pub(super) snapshot: Snapshot,
    /// The live output that shows this; `None` for a quiet training.
    pub(super) place: Option<Arc<Live>>,
}

impl TrainingProgress {
    /// The number of steps since the start.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.snapshot.losses.len()
    }

    /// The mean loss of the last 25 steps, in nats; `None` before the first step.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        self.snapshot.recent_loss()
    }

    /// The accuracy on the held-out examples, from 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.snapshot.tests.last().map_or(0.0, Evaluation::accuracy)
    }

    /// Displays the progress as the last value of a notebook cell. Does nothing when the live output already displays it.
    pub fn evcxr_display(&self) {
        if self.place.as_ref().is_none_or(|place| !place.shown()) {
            show_bundles(&self.mime_bundles());
        }
    }
}

impl std::fmt::Display for TrainingProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.snapshot.summary(), self.stop_reason)
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
        vec![snapshot.figure(None).bundle(format!("{}\n{}", snapshot.title, snapshot.summary()))]
    }
}

crate::show_in_notebooks!(TrainingRun);

/// The live output of a training, one in each cell that steps it.
#[derive(Default)]
pub(super) struct TrainingView(LiveView);

impl TrainingView {
    /// Begins a call, at whose end the training is shown.
    pub fn begin(&mut self) {
        self.0.begin();
    }

    /// Returns whether it is time for another update.
    pub fn is_due(&self) -> bool {
        self.0.is_due()
    }

    /// Shows the training so far, with an estimate of the time left.
    pub fn update(&mut self, snapshot: &Snapshot, left: Option<Duration>) {
        self.0.update(|| snapshot.figure(left).bundle(snapshot.summary()));
    }

    /// Shows the training at the end of a call, and returns the live output.
    pub fn finish(&mut self, snapshot: &Snapshot) -> Arc<Live> {
        self.0.finish(|| snapshot.figure(None).bundle(snapshot.summary()));
        self.0.place()
    }
}
