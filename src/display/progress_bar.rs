//! Text progress bars.

use std::fmt;
use std::time::Duration;

/// The length of the bar in characters.
const BAR_LENGTH: usize = 24;

/// A progress bar as a line of text.
///
/// ```
/// use metamers::display::ProgressBar;
/// use std::time::Duration;
///
/// let progress = ProgressBar::new(200, Some(800)).unit("evaluations").elapsed(Duration::from_secs(12)).eta_from_pace();
/// assert_eq!(progress.to_string(), "200/800 evaluations  ██████░░░░░░░░░░░░░░░░░░  12 s, 36 s left");
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ProgressBar {
    done: usize,
    total: Option<usize>,
    unit: String,
    elapsed: Option<Duration>,
    eta: Option<Duration>,
}

impl ProgressBar {
    /// Creates a progress bar at `done` of `total` steps; `total` is `None` if unknown.
    pub fn new(done: usize, total: Option<usize>) -> Self {
        Self { done, total, ..Self::default() }
    }

    /// Sets the unit of the counts, in the plural: `"evaluations"`.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// Sets the elapsed time.
    pub fn elapsed(mut self, elapsed: Duration) -> Self {
        self.elapsed = Some(elapsed);
        self
    }

    /// Sets the estimated time left, or `None` if it is unknown.
    pub fn eta(mut self, eta: Option<Duration>) -> Self {
        self.eta = eta;
        self
    }

    /// Estimates the time left from the average pace so far. Call it after [`ProgressBar::elapsed`].
    pub fn eta_from_pace(mut self) -> Self {
        self.eta = match (self.elapsed, self.total) {
            (Some(elapsed), Some(total)) if self.done > 0 => {
                let seconds = elapsed.as_secs_f64() / self.done as f64 * total.saturating_sub(self.done) as f64;
                Duration::try_from_secs_f64(seconds).ok()
            }
            _ => None,
        };
        self
    }
}

impl fmt::Display for ProgressBar {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.done)?;
        if let Some(total) = self.total {
            write!(f, "/{total}")?;
        }
        if !self.unit.is_empty() {
            write!(f, " {}", self.unit)?;
        }
        if let Some(total) = self.total {
            let fraction = if total == 0 { 1.0 } else { (self.done as f64 / total as f64).min(1.0) };
            let filled = (fraction * BAR_LENGTH as f64) as usize;
            write!(f, "  {}{}", "█".repeat(filled), "░".repeat(BAR_LENGTH - filled))?;
        }
        if let Some(elapsed) = self.elapsed {
            write!(f, "  {}", duration(elapsed))?;
        }
        let finished = self.total.is_some_and(|total| self.done >= total);
        if let (Some(eta), false) = (self.eta, finished) {
            let before = if self.elapsed.is_some() { ", " } else { "  " };
            write!(f, "{before}{} left", duration(eta))?;
        }
        Ok(())
    }
}

/// Formats a duration in at most two units: `0.4 s`, `12 s`, `1 min 8 s`, `2 h 5 min`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 {
        return if seconds == 0.0 { "0 s".into() } else { format!("{seconds:.1} s") };
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
