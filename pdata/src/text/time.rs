//! Points in time as Go prints them.

use std::fmt::Write as _;

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Appends `2020-02-11 20:26:12.000000321 +0000 UTC`; the fraction without trailing zeros.
pub(super) fn write(unix_nano: u64, out: &mut String) {
    let seconds = unix_nano / 1_000_000_000;
    let (year, month, day) = date(seconds / SECONDS_A_DAY);
    let clock = seconds % SECONDS_A_DAY;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    // Writing to a string does not fail.
    write!(
        out,
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
    )
    .unwrap_or_default();
    let nanos = unix_nano % 1_000_000_000;
    if nanos > 0 {
        write!(out, ".{nanos:09}").unwrap_or_default();
        out.truncate(out.trim_end_matches('0').len());
    }
    out.push_str(" +0000 UTC");
}

/// The date so many days after 1970-01-01. Years are counted from March, so that the leap day is a
/// year's last, in cycles of 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_400_YEARS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let cycle = days / DAYS_400_YEARS;
    let day_of_cycle = days % DAYS_400_YEARS;
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Months of 31, 30, 31, 30, 31 days repeat: 153 days in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    (cycle * 400 + year_of_cycle + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_nano: u64) -> String {
        let mut out = String::new();
        write(unix_nano, &mut out);
        out
    }

    #[test]
    fn times_look_like_gos() {
        assert_eq!(text(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(
            text(1_581_452_772_000_000_321),
            "2020-02-11 20:26:12.000000321 +0000 UTC"
        );
        assert_eq!(
            text(1_709_164_800_500_000_000),
            "2024-02-29 00:00:00.5 +0000 UTC"
        );
        assert_eq!(text(u64::MAX), "2554-07-21 23:34:33.709551615 +0000 UTC");
        assert_eq!(
            text(951_782_399_000_000_000),
            "2000-02-28 23:59:59 +0000 UTC"
        );
    }
}
