//! A program or package that the set-up needs, and the commands that install it.

use std::path::Path;

/// A program or package that the user installs, and the commands that install it.
pub struct Prerequisite {
    /// The name in an error message.
    pub name: &'static str,
    /// The command for Debian and Ubuntu.
    pub debian: &'static str,
    /// The command for Fedora.
    pub fedora: &'static str,
    /// The command for macOS.
    pub macos: &'static str,
}

impl Prerequisite {
    /// The error message for a missing prerequisite.
    pub fn install_advice(&self) -> String {
        let line = if cfg!(target_os = "macos") {
            self.macos
        } else if Path::new("/etc/fedora-release").exists() || Path::new("/etc/redhat-release").exists() {
            self.fedora
        } else if Path::new("/etc/debian_version").exists() {
            self.debian
        } else {
            return format!(
                "{} is missing; install it with\n  Debian, Ubuntu: {}\n  Fedora: {}\n  macOS: {}",
                self.name, self.debian, self.fedora, self.macos
            );
        };
        format!("{} is missing; install it with\n  {line}", self.name)
    }
}
