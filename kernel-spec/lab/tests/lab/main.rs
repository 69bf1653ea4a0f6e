//! The `cargo lab` program and the files that it depends on.

mod dockerfile;
mod notebook_files;
mod prerequisites;
