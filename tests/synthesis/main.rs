//! Runs, metamers, verdicts, sweeps and training.

#[path = "../common/mod.rs"]
mod common;
mod different;
mod equals_plenoptic;
mod goals;
mod nearest;
mod on_device;
mod recipes_equal_pytorch;
mod reproduce;
mod runs;
mod saved_files;
mod sweep;
mod sweep_goals;
mod training;
mod verdict;
