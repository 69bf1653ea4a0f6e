//! The state of a run at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::history::{Point, TargetCurves};
use crate::network::Network;
use crate::stimulus::Stimulus;

/// The state of a run at one moment; everything except the current stimulus is shared with the run.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub title: String,
    pub network: Network,
    pub original: Stimulus,
    pub current: Stimulus,
    pub gradient: Arc<Vec<f32>>,
    pub points: Arc<Vec<Point>>,
    pub targets: Arc<TargetCurves>,
    pub steps: usize,
    pub elapsed: Duration,
}
