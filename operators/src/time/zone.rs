//! Where a time without an offset was.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// A place by its name in the IANA database: `Europe/Berlin`, `UTC`, or `Local`, where this machine is.
#[derive(Clone, PartialEq)]
pub(crate) struct Location {
    name: String,
    zone: TimeZone,
}

impl Location {
    pub(crate) fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            zone: TimeZone::UTC,
        }
    }

    pub(crate) fn local() -> Self {
        Self {
            name: "Local".to_owned(),
            zone: TimeZone::try_system().unwrap_or(TimeZone::UTC),
        }
    }
}

impl FromStr for Location {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "" | "UTC" => Ok(Self::utc()),
            "Local" => Ok(Self::local()),
            _ => match TimeZone::get(name) {
                Ok(zone) => Ok(Self {
                    name: name.to_owned(),
                    zone,
                }),
                Err(_) => Err(format!(
                    "expected a location such as Europe/Berlin, UTC or Local, found '{name}', which is not in this machine's time zone database (/usr/share/zoneinfo)"
                )),
            },
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

crate::as_text!(
    Location,
    "a location such as Europe/Berlin",
    "Europe/Berlin"
);

/// The place of times without an offset, and what abbreviations of zones mean.
#[derive(Clone, Debug)]
pub(crate) struct Zones {
    pub(crate) location: Location,
    pub(crate) by_name: BTreeMap<String, Location>,
}

impl Zones {
    #[cfg(test)]
    pub(crate) fn of(location: Location) -> Self {
        Self {
            location,
            by_name: BTreeMap::new(),
        }
    }

    /// The instant of a wall clock's time in the zone that has that abbreviation, or in the location.
    pub(super) fn instant(&self, time: DateTime, abbreviation: Option<&str>) -> Option<Timestamp> {
        let in_zone = |zone: &TimeZone| zone.to_ambiguous_timestamp(time).compatible().ok();
        let Some(name) = abbreviation else {
            return in_zone(&self.location.zone);
        };
        if let Some(location) = self.by_name.get(name) {
            return in_zone(&location.zone);
        }
        if matches!(name, "UTC" | "Z") {
            return in_zone(&TimeZone::UTC);
        }
        if let Some(hours) = name.strip_prefix("GMT").filter(|hours| !hours.is_empty()) {
            let seconds = hours.parse::<i32>().ok()?.checked_mul(3600)?;
            return Offset::from_seconds(seconds).ok()?.to_timestamp(time).ok();
        }
        // The location's own abbreviations, of summer and winter.
        let here = in_zone(&self.location.zone)?;
        for months in [0, 6] {
            let there = here
                .to_zoned(self.location.zone.clone())
                .checked_add(jiff::Span::new().months(months))
                .ok()?
                .timestamp();
            let info = self.location.zone.to_offset_info(there);
            if info.abbreviation() == name {
                return info.offset().to_timestamp(time).ok();
            }
        }
        // Some abbreviations are the name of a zone: EST, CET.
        match TimeZone::get(name) {
            Ok(zone) => in_zone(&zone),
            // As Go does with one it does not know.
            Err(_) => in_zone(&TimeZone::UTC),
        }
    }
}
