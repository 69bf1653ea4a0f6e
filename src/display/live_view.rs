//! Throttled updates of a live output.

use std::sync::Arc;
use std::time::Duration;

use super::{Live, Show};
use crate::clock::Instant;

/// The minimum time between two updates, unless [`LiveView::with_interval`] sets another.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// The pause after an update, in multiples of the time it took: drawing takes at most a twentieth of the time.
const PAUSE_PER_COST: u32 = 19;

/// The assumed time of the first update.
const EXPECTED_COST: Duration = Duration::from_millis(30);

/// The number of final updates that may follow each other without a pause.
const MAX_BURST: f64 = 8.0;

/// A live output for long work, one in each cell, with a limit on the time that drawing takes.
///
/// It is updated at most twice a second by default, and for at most a twentieth of the time. The cost of the last drawing sets the next pause.
/// In a call that [`LiveView::begin`] announces, the first update comes late enough that the final one is within that time, too; a short
/// call has the final one alone.
pub(crate) struct LiveView {
    place: Arc<Live>,
    interval: Duration,
    /// The time from which the next pause counts: that of the last update, or later.
    since: Option<Instant>,
    /// The duration of the last update.
    cost: Duration,
    bucket: TokenBucket,
}

impl LiveView {
    /// Creates a view with a given minimum time between two updates.
    #[must_use]
    pub fn with_interval(interval: Duration) -> Self {
        Self {
            place: Arc::new(Live::in_each_cell()),
            interval,
            since: None,
            cost: EXPECTED_COST,
            bucket: TokenBucket::default(),
        }
    }

    /// The pause between two updates: the minimum interval, or longer if drawing is slow.
    pub fn pause(&self) -> Duration {
        self.interval.max(self.cost * PAUSE_PER_COST)
    }

    /// Begins a call with a final update.
    pub fn begin(&mut self) {
        self.since = Some(Instant::now() + self.pause());
    }

    /// Returns whether the next update is due. Always false without the metamers kernel.
    pub fn is_due(&self) -> bool {
        Live::is_on() && self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        self.since.is_none_or(|since| now.saturating_duration_since(since) >= self.pause())
    }

    /// Draws and shows an update. The time that both take is the cost which sets the next pause.
    pub fn update<S: Show>(&mut self, draw: impl FnOnce() -> S) {
        let begun = Instant::now();
        self.place.update(&draw());
        self.cost = begun.elapsed();
        self.since = Some(Instant::now());
    }

    /// Shows the final state of a call, due or not. Returns whether the metamers kernel shows it.
    pub fn finish<S: Show>(&mut self, draw: impl FnOnce() -> S) -> bool {
        let shown = Live::is_on();
        if shown {
            self.update(draw);
        }
        shown
    }

    /// Shows the final state of a call as [`LiveView::finish`] does, but skips some in a loop of calls that are shorter than a drawing:
    /// a few follow each other at once, and in the long run they take at most half of the time. Returns whether this one is shown.
    pub fn finish_throttled<S: Show>(&mut self, draw: impl FnOnce() -> S) -> bool {
        let shown = Live::is_on() && self.bucket.take(Instant::now(), self.cost);
        if shown {
            self.update(draw);
        }
        shown
    }

    /// The live output that this view updates.
    pub fn place(&self) -> Arc<Live> {
        Arc::clone(&self.place)
    }
}

impl Default for LiveView {
    fn default() -> Self {
        Self::with_interval(MIN_INTERVAL)
    }
}

/// A token bucket that starts full and gains one token in twice the time of a drawing.
struct TokenBucket {
    tokens: f64,
    /// The time of the last request.
    asked: Option<Instant>,
}

impl TokenBucket {
    /// Takes a token if one is available, given the current `cost` of a drawing. Returns whether one was available.
    fn take(&mut self, now: Instant, cost: Duration) -> bool {
        if let Some(asked) = self.asked.replace(now) {
            let passed = now.saturating_duration_since(asked).as_secs_f64();
            self.tokens = (self.tokens + passed / (2.0 * cost.as_secs_f64()).max(1e-9)).min(MAX_BURST);
        }
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

impl Default for TokenBucket {
    fn default() -> Self {
        Self { tokens: MAX_BURST, asked: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of drawings in a loop of `calls` calls of this duration, when a drawing takes 200 ms.
    fn drawn(calls: usize, call: Duration) -> usize {
        let (mut bucket, mut now, mut drawn) = (TokenBucket::default(), Instant::now(), 0);
        for _ in 0..calls {
            now += call;
            if bucket.take(now, Duration::from_millis(200)) {
                now += Duration::from_millis(200);
                drawn += 1;
            }
        }
        drawn
    }

    #[test]
    fn a_call_draws_for_a_twentieth_of_its_time_with_its_final_state() {
        for cost in [10, 30, 100].map(Duration::from_millis) {
            let mut view = LiveView { cost, ..LiveView::default() };
            let start = Instant::now();
            view.begin();
            let (mut now, mut updates) = (start, 0);
            while now.saturating_duration_since(start) < Duration::from_secs(20) {
                now += Duration::from_millis(5);
                if view.is_due_at(now) {
                    (now, updates) = (now + cost, updates + 1);
                    view.since = Some(now);
                    let share = (cost * (updates + 1)).div_duration_f64(now.saturating_duration_since(start));
                    assert!(share <= 0.052, "{share} after {updates} updates of {cost:?}");
                }
            }
            assert!(updates >= 8, "{updates} updates of {cost:?}");
        }
    }

    #[test]
    fn a_loop_of_short_calls_draws_for_at_most_half_of_its_time() {
        assert_eq!(drawn(8, Duration::from_millis(10)), 8, "a short loop draws after each call");
        let calls = drawn(1000, Duration::from_millis(10));
        // 10 s of work and as much again for drawings, plus the initial burst and the tokens gained during it.
        assert!((50..=66).contains(&calls), "{calls} drawings");
        assert_eq!(drawn(50, Duration::from_millis(500)), 50, "long calls all draw");
    }
}
