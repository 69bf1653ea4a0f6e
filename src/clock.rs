//! Time, also in a browser, where the standard library has no clock.

#[cfg(not(target_os = "unknown"))]
pub(crate) use std::time::Instant;

#[cfg(target_os = "unknown")]
pub(crate) use browser::Instant;

/// Seconds since 1970, in UTC.
#[cfg(not(target_os = "unknown"))]
pub(crate) fn seconds_since_epoch() -> f64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(target_os = "unknown")]
pub(crate) use browser::seconds_since_epoch;

#[cfg(target_os = "unknown")]
mod browser {
    use std::time::Duration;

    #[link(wasm_import_module = "metamers")]
    unsafe extern "C" {
        /// `performance.now()`: milliseconds, monotonic.
        safe fn monotonic_milliseconds() -> f64;
        /// `Date.now()`: milliseconds since 1970.
        safe fn epoch_milliseconds() -> f64;
    }

    pub(crate) fn seconds_since_epoch() -> f64 {
        epoch_milliseconds() / 1000.0
    }

    /// As [`std::time::Instant`], with the clock of the page.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(Duration);

    impl Instant {
        pub fn now() -> Self {
            Self(Duration::from_secs_f64(monotonic_milliseconds().max(0.0) / 1000.0))
        }

        pub fn elapsed(&self) -> Duration {
            Self::now().saturating_duration_since(*self)
        }

        pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
            self.0.saturating_sub(earlier.0)
        }
    }

    impl std::ops::Add<Duration> for Instant {
        type Output = Self;

        fn add(self, duration: Duration) -> Self {
            Self(self.0 + duration)
        }
    }
}
