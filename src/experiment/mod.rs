//! The recognition experiment: would a person know what a metamer shows?
//!
//! [`RecognitionTask`] writes one page of HTML that runs the experiment of Feather et al. (2019, 2023) in any browser, without a server
//! and without sending anything; [`analysis`] reads the answers that people saved, and compares conditions, the network and the published
//! human means.
//!
//! ```
//! use metamers::prelude::{analysis::*, *};
//!
//! let task = RecognitionTask::builder("What is it?", Choices::entry_level())
//!     .item("dog", "natural", "dog", Image::open("photos/dog.jpg")?)
//!     .item("cat", "natural", "cat", Image::open("photos/tabby_cat.jpg")?)
//!     .seed(1)
//!     .build()?;
//! assert!(task.page().starts_with("<!DOCTYPE html>"));          // task.save("task.html")? writes it
//! # Ok::<(), metamers::Error>(())
//! ```

pub mod analysis;
mod assignment;
mod builder;
mod choices;
mod item;
mod page;
mod task;
#[cfg(test)]
mod tests;
mod timing;

pub use builder::TaskBuilder;
pub use choices::Choices;
pub use item::Item;
pub use task::RecognitionTask;
pub use timing::Timing;
