//! A program or package that the set-up needs, and the commands that install it.

use crate::platform::{PackageManager, package_manager};

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
    /// The command for Windows.
    pub windows: &'static str,
}

impl Prerequisite {
    /// The error message for a missing prerequisite.
    pub fn install_advice(&self) -> String {
        let line = match package_manager() {
            Some(PackageManager::Apt) => self.debian,
            Some(PackageManager::Dnf) => self.fedora,
            Some(PackageManager::Homebrew) => self.macos,
            Some(PackageManager::Winget) => self.windows,
            None => {
                return format!(
                    "{} is missing; install it with\n  Debian, Ubuntu: {}\n  Fedora: {}\n  macOS: {}",
                    self.name, self.debian, self.fedora, self.macos
                );
            }
        };
        format!("{} is missing; install it with\n  {line}", self.name)
    }
}
