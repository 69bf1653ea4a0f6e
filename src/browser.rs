//! Files for a library that runs in a browser, where there is no file system.

/// Makes a file readable under a path. Shipped files are expected below `assets/`, as in `assets/networks/imagenet_classes.json`.
pub fn provide_file(path: impl Into<std::path::PathBuf>, bytes: Vec<u8>) {
    crate::fs::files::provide(path.into(), bytes);
}
