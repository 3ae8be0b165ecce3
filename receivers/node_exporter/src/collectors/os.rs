//! Which operating system it is: `os-release`.

use std::collections::HashMap;

use corten_host::families::Kind::Gauge;
use corten_host::scan::valid;
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    let file = |path: &str| HostFile::new(sources.roots.on_host(path.as_ref()));
    Box::new(Os {
        files: [file("/etc/os-release"), file("/usr/lib/os-release")],
    })
}

struct Os {
    files: [HostFile; 2],
}

const LABELS: [(&str, &str); 12] = [
    ("BUILD_ID", "build_id"),
    ("ID", "id"),
    ("ID_LIKE", "id_like"),
    ("IMAGE_ID", "image_id"),
    ("IMAGE_VERSION", "image_version"),
    ("NAME", "name"),
    ("PRETTY_NAME", "pretty_name"),
    ("VARIANT", "variant"),
    ("VARIANT_ID", "variant_id"),
    ("VERSION", "version"),
    ("VERSION_CODENAME", "version_codename"),
    ("VERSION_ID", "version_id"),
];

impl Collector for Os {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let [etc, usr] = &mut self.files;
        let text = match etc.read_when_changed() {
            Err(error) if error.is_absent() => usr.read_when_changed()?,
            Err(error) => return Err(error),
            Ok(_) => etc.content(),
        };
        let text = valid(text);
        let variables = parse(&text);
        let of = |key: &str| variables.get(key).map_or("", String::as_str);
        let labels = LABELS.map(|(key, label)| (label, of(key)));
        emit.put(
            Gauge,
            "node_os_info",
            "What the operating system calls itself: always 1.",
            &labels,
            1.0,
        );
        if let Some(version) = leading_number(of("VERSION_ID")).filter(|version| *version > 0.0) {
            let labels = [
                ("id", of("ID")),
                ("id_like", of("ID_LIKE")),
                ("name", of("NAME")),
            ];
            emit.put(
                Gauge,
                "node_os_version",
                "Version of the operating system, major and minor part.",
                &labels,
                version,
            );
        }
        if let Some(end) = days_since_1970(of("SUPPORT_END")) {
            emit.put(
                Gauge,
                "node_os_support_end_timestamp_seconds",
                "When support of the operating system ends, in seconds since 1970.",
                &[],
                end * 86400.0,
            );
        }
        Ok(())
    }
}

/// `NAME="value"` by line, as a shell would read it.
fn parse(text: &str) -> HashMap<&str, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name, unquoted(value)))
        .collect()
}

fn unquoted(value: &str) -> String {
    if let Some(inner) = value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return inner.to_owned();
    }
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value);
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

/// `20.04` of `20.04.1 LTS`.
fn leading_number(version: &str) -> Option<f64> {
    let mut points = 0;
    let end = version.find(|character: char| {
        points += u8::from(character == '.');
        !(character.is_ascii_digit() || (character == '.' && points == 1))
    });
    version.get(..end.unwrap_or(version.len()))?.parse().ok()
}

/// Of a date `2027-06-30`.
fn days_since_1970(date: &str) -> Option<f64> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // A year that begins in March has its leap day at the end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
    u32::try_from(days).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_unquoted() {
        let text = "# comment\nNAME=\"Ubuntu \\\"x\\\"\"\nID=ubuntu\nX='a b'\n";
        let all = parse(text);
        assert_eq!(
            (all["NAME"].as_str(), all["ID"].as_str(), all["X"].as_str()),
            ("Ubuntu \"x\"", "ubuntu", "a b")
        );
        assert_eq!(leading_number("20.04.1"), Some(20.04));
        assert_eq!(leading_number("12"), Some(12.0));
        assert_eq!(leading_number("rolling"), None);
        assert_eq!(days_since_1970("1970-01-01"), Some(0.0));
        assert_eq!(
            days_since_1970("2027-06-30").map(|days| days * 86400.0),
            Some(1_814_313_600.0)
        );
        assert_eq!(days_since_1970("soon"), None);
    }
}
