//! Tests of the `cargo lab` program and of the files that it depends on.

mod dockerfile;
mod notebook_files;
mod prerequisites;
