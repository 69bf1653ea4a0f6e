//! Status lines in cargo's format.

/// Prints one status line, with the verb right-aligned as cargo does.
pub fn print_status(verb: &str, text: &str) {
    eprintln!("{verb:>12} {text}");
}
