//! The recognition experiment: would a person know what a metamer shows?
//!
//! [`RecognitionTask`] writes one page of HTML that runs the experiment of Feather et al. (2019, 2023) in any browser, without a server
//! and without sending anything; [`analysis`] reads the answers that people saved, and compares conditions, the network and the published
//! human means.

pub mod analysis;
mod assignment;
mod choices;
mod item;
mod page;
mod task;
#[cfg(test)]
mod tests;
mod timing;

pub use choices::Choices;
pub use item::Item;
pub use task::{RecognitionTask, TaskBuilder};
pub use timing::Timing;
