//! Recognition experiments: a task for participants, and the analysis of their answers.
//!
//! [`RecognitionTask`] creates an HTML page that runs the experiment of Feather et al. (2019, 2023) in any browser. The page needs no
//! server and sends no data. [`analysis`] reads the saved answers and compares conditions, the network and published human means.
//!
//! ```
//! use metamers::prelude::{analysis::*, *};
//!
//! let task = RecognitionTask::builder("What is it?", Choices::entry_level())
//!     .item("dog", "natural", "dog", Image::open("photos/dog.jpg")?)
//!     .item("cat", "natural", "cat", Image::open("photos/tabby_cat.jpg")?)
//!     .seed(1)
//!     .build()?;
//! assert!(task.page().starts_with("<!DOCTYPE html>"));          // save it with task.save("task.html")?
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
