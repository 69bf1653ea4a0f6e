//! Locks of files on file systems that may have none.

use crate::platform;
use std::fs::TryLockError;
use std::io;

/// The result of taking a lock, without the error of a file system that has no locks, as some of networks: what the lock would protect is
/// then used without it.
///
/// # Errors
/// All others.
pub fn or_unlocked(locked: io::Result<()>) -> io::Result<()> {
    locked.or_else(|error| if platform::is_lock_unsupported(&error) { Ok(()) } else { Err(error) })
}

/// True if trying to take a lock has failed because another process holds it.
///
/// # Errors
/// As [`or_unlocked`].
pub fn is_held(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked {
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => or_unlocked(Err(error)).map(|()| false),
        Ok(()) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn only_a_missing_lock_service_is_no_error() {
        let unsupported = || Error::from(ErrorKind::Unsupported);
        let denied = || Error::from(ErrorKind::PermissionDenied);
        assert!(or_unlocked(Ok(())).is_ok() && or_unlocked(Err(unsupported())).is_ok());
        assert_eq!(or_unlocked(Err(denied())).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert!(is_held(Err(TryLockError::WouldBlock)).unwrap());
        assert!(!is_held(Ok(())).unwrap() && !is_held(Err(TryLockError::Error(unsupported()))).unwrap());
        assert!(is_held(Err(TryLockError::Error(denied()))).is_err());
    }
}
