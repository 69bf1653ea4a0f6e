//! Date and time in UTC.

/// The current time as `2026-11-26 01:05 UTC`.
pub(super) fn now() -> String {
    format_utc(crate::clock::seconds_since_epoch() as u64)
}

/// Formats seconds since 1970 as a Gregorian date.
///
/// Years are counted from March, so that the leap day is their last; 400 of them have 146,097 days.
fn format_utc(seconds: u64) -> String {
    let (days, minutes) = (seconds / 86_400 + 719_468, seconds % 86_400 / 60);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + u64::from(month >= 10), if month < 10 { month + 3 } else { month - 9 });
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_equal_those_of_the_date_program() {
        // From `date -u -d @SECONDS`.
        for (seconds, date) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_799, "2000-02-29 23:59 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59 UTC"),
            (1_735_689_600, "2025-01-01 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (4_107_456_000, "2100-02-28 00:00 UTC"),
        ] {
            assert_eq!(super::format_utc(seconds), date);
        }
    }
}
