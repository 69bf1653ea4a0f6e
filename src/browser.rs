//! Files and threads for a library that runs in a browser, where there is no file system, and where the page starts threads.

/// Makes a file readable under a path. Shipped files are expected below `assets/`, as in `assets/networks/imagenet_classes.json`.
pub fn provide_file(path: impl Into<std::path::PathBuf>, bytes: Vec<u8>) {
    crate::fs::files::provide(path.into(), bytes);
}

/// Sets the number of threads, this one included: the page starts the others, and each calls [`serve_as_thread`]. The default is 1. Call it
/// before a network is used; later calls have no effect.
pub fn expect_threads(threads: usize) {
    crate::parallel::expect_threads(threads);
}

/// Computes on this thread what others give it, and never returns. `index` is its number, from 1 on and below that of
/// [`expect_threads`].
///
/// # Panics
/// If there is no such thread, or another one has this index.
pub fn serve_as_thread(index: usize) {
    crate::parallel::serve_as_thread(index);
}
