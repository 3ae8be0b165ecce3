//! The offset of local time from UTC at this moment.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The local time zone's offset now: `TZ`, else `/etc/localtime`, else UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The zone's present abbreviation: `UTC`, `CEST`.
    pub abbreviation: String,
    /// Seconds east of UTC.
    pub seconds: i32,
}

impl Offset {
    /// The offset at this moment.
    #[must_use]
    pub fn now() -> Self {
        Self::at(
            &TimeZone::try_system().unwrap_or(TimeZone::UTC),
            Timestamp::now(),
        )
    }

    fn at(zone: &TimeZone, moment: Timestamp) -> Self {
        let info = zone.to_offset_info(moment);
        Self {
            abbreviation: info.abbreviation().to_owned(),
            seconds: info.offset().seconds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_time_counts() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let offset = |moment: &str| {
            let Offset {
                abbreviation,
                seconds,
            } = Offset::at(&zone, moment.parse().unwrap());
            (abbreviation, seconds)
        };
        assert_eq!(offset("2026-07-01T00:00:00Z"), ("CEST".to_owned(), 7200));
        assert_eq!(offset("2026-01-01T00:00:00Z"), ("CET".to_owned(), 3600));
        assert_eq!(
            Offset::at(&TimeZone::UTC, Timestamp::UNIX_EPOCH).abbreviation,
            "UTC"
        );
    }
}
