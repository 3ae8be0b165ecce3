//! The offset of local time from UTC at this moment.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneOffsetInfo};

/// How long a zone counts as the present one: somebody may choose another.
const FRESH: Duration = Duration::from_secs(300);

/// The local time zone: `TZ`, else `/etc/localtime`, else UTC.
#[derive(Debug)]
pub struct LocalZone {
    zone: TimeZone,
    read: Option<Instant>,
}

impl Default for LocalZone {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            read: None,
        }
    }
}

impl LocalZone {
    /// The present abbreviation (`UTC`, `CEST`) and seconds east of UTC.
    pub fn offset(&mut self) -> (String, i32) {
        if self.read.is_none_or(|read| read.elapsed() > FRESH) {
            self.zone = local();
            self.read = Some(Instant::now());
        }
        told(&self.zone.to_offset_info(Timestamp::now()))
    }
}

fn told(info: &TimeZoneOffsetInfo<'_>) -> (String, i32) {
    (info.abbreviation().to_owned(), info.offset().seconds())
}

fn local() -> TimeZone {
    if std::env::var_os("TZ").is_some() {
        return TimeZone::try_system().unwrap_or(TimeZone::UTC);
    }
    // Its name is not asked for, which would be looked up in a list of all zones that stays in memory.
    let zone = std::fs::read("/etc/localtime").ok();
    zone.and_then(|zone| TimeZone::tzif("", &zone).ok())
        .unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_time_counts() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let offset = |moment: &str| told(&zone.to_offset_info(moment.parse().unwrap()));
        assert_eq!(offset("2026-07-01T00:00:00Z"), ("CEST".to_owned(), 7200));
        assert_eq!(offset("2026-01-01T00:00:00Z"), ("CET".to_owned(), 3600));
    }

    #[test]
    fn it_is_the_systems_own() {
        let expected = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let expected = told(&expected.to_offset_info(Timestamp::now()));
        assert_eq!(LocalZone::default().offset(), expected);
    }
}
