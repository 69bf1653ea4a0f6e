//! The folder of Slurm scripts, which one process at a time submits from.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The folder with the numbered files of submissions, locked for other processes.
pub(super) struct SubmissionFolder {
    path: PathBuf,
    /// The lock ends when the file is closed.
    _lock: File,
}

impl SubmissionFolder {
    /// Creates the folder if it is missing, and waits until no other process submits from it. On file systems without locks, the numbers
    /// alone are exclusive.
    pub fn lock(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        let file = path.join("submission.lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&file);
        let lock = lock.map_err(|e| Error::io(&file, e))?;
        match lock.lock() {
            Err(e) if e.kind() != ErrorKind::Unsupported => Err(Error::io(file, e)),
            _ => Ok(Self { path: path.into(), _lock: lock }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves the first number after those of earlier submissions: creates the list of its tasks, which no other process can create too.
    pub fn reserve_number(&self) -> Result<usize> {
        let mut number = self.next_number()?;
        loop {
            let tasks = self.path.join(format!("{number}.tasks"));
            match File::create_new(&tasks) {
                Ok(_) => return Ok(number),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io(tasks, e)),
            }
        }
    }

    fn next_number(&self) -> Result<usize> {
        let mut last = 0;
        for file in std::fs::read_dir(&self.path).map_err(|e| Error::io(&self.path, e))?.flatten() {
            // A file with a larger number is not one of a submission.
            let stem = file.path().file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
            last = last.max(stem.unwrap_or(0));
        }
        Ok(last as usize + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn submissions_are_numbered_after_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let locked = SubmissionFolder::lock(folder.path()).unwrap();
        assert_eq!(locked.next_number().unwrap(), 1);
        for name in ["2.sh".to_owned(), "notes.txt".into(), format!("{}.sh", usize::MAX)] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(locked.reserve_number().unwrap(), 3);
        assert_eq!(locked.reserve_number().unwrap(), 4);
    }

    #[test]
    fn a_number_is_reserved_once_even_without_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let locked = SubmissionFolder::lock(folder.path()).unwrap();
        let reserve = || (0..20).map(|_| locked.reserve_number().unwrap()).collect::<Vec<_>>();
        let mut numbers: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(reserve)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
    }

    #[test]
    fn a_submission_waits_for_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = SubmissionFolder::lock(folder.path()).unwrap();
        let (path, (send, locked)) = (folder.path().to_owned(), mpsc::channel());
        std::thread::spawn(move || send.send(SubmissionFolder::lock(&path).is_ok()));
        assert!(locked.recv_timeout(Duration::from_millis(200)).is_err(), "two submissions at once");
        drop(first);
        assert_eq!(locked.recv_timeout(Duration::from_secs(10)), Ok(true));
    }
}
