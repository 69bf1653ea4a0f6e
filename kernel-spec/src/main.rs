//! The Jupyter kernel of metamers.
fn main() { evcxr::runtime_hook(); }
