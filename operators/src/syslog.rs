//! Syslog messages: RFC 5424 and RFC 3164.
//!
//! Both are read as they are written in the field: fields may be longer than RFC 5424 allows, a fraction of a second may have nine
//! digits; an RFC 3164 message may lack its hostname (as programs write to `/dev/log`), have a year, or a time as RFC 3339
//! has it (as rsyslog and most containers write).
//!
//! ```
//! use corten_operators::syslog::{Parser, Protocol};
//!
//! let parser = Parser::new(Protocol::Rfc5424, "UTC")?;
//! let message = parser.parse("<34>1 2003-10-11T22:14:15.003Z host su - ID47 - 'su root' failed", 0)?;
//! assert_eq!(message.appname, Some("su"));
//! assert_eq!(message.message, Some("'su root' failed"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fields;
mod rfc3164;
mod rfc5424;

use std::borrow::Cow;

use jiff::tz::TimeZone;

use fields::Fields;

/// Which of the two formats messages have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `<34>1 2003-10-11T22:14:15.003Z host app procid msgid [id name="value"] message`
    Rfc5424,
    /// `<34>Oct 11 22:14:15 host app[procid]: message`
    Rfc3164,
}

/// Reads messages of one format.
#[derive(Clone, Debug)]
pub struct Parser {
    protocol: Protocol,
    zone: TimeZone,
    skip_pri: bool,
}

/// What a message says. What it leaves out (with RFC 5424: says with `-`) is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// `8 * facility + severity`, 0 to 191. `None` where the header was left out, and may be.
    pub priority: Option<u8>,
    /// The version of RFC 5424, which is 1.
    pub version: Option<u16>,
    /// Nanoseconds since 1970.
    pub time: Option<u64>,
    /// The machine.
    pub hostname: Option<&'a str>,
    /// The program.
    pub appname: Option<&'a str>,
    /// The process; a number as a rule.
    pub proc_id: Option<&'a str>,
    /// The kind of message.
    pub msg_id: Option<&'a str>,
    /// Elements in their order. An id may repeat, though it should not.
    pub structured_data: Vec<Element<'a>>,
    /// The text.
    pub message: Option<&'a str>,
}

/// An element of the structured data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its name, such as `timeQuality` or `origin@32473`.
    pub id: &'a str,
    /// Names and values in their order.
    pub params: Vec<(&'a str, Cow<'a, str>)>,
}

impl Message<'_> {
    /// Which part of the system it is of, 0 to 23.
    #[must_use]
    pub fn facility(&self) -> Option<u8> {
        self.priority.map(|priority| priority / 8)
    }
}

/// The text is no message of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at byte {at} of the message")]
pub struct ParseError {
    /// Where.
    pub at: usize,
    /// What.
    pub expected: &'static str,
}

/// A time zone that this machine does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a location such as Europe/Berlin, UTC or Local, found '{0}', which is not in this machine's time zone database (/usr/share/zoneinfo)"
)]
pub struct UnknownLocation(String);

impl Parser {
    /// Reads messages of `protocol`. RFC 3164's times are of `location`: a name of the IANA database, `UTC` (also when it is empty)
    /// or `Local`.
    ///
    /// # Errors
    ///
    /// The location is not known.
    pub fn new(protocol: Protocol, location: &str) -> Result<Self, UnknownLocation> {
        let zone = match location {
            "" | "UTC" => TimeZone::UTC,
            "Local" => TimeZone::try_system().unwrap_or(TimeZone::UTC),
            name => TimeZone::get(name).map_err(|_| UnknownLocation(name.to_owned()))?,
        };
        Ok(Self {
            protocol,
            zone,
            skip_pri: false,
        })
    }

    /// Also takes messages without `<priority>` at their beginning.
    #[must_use]
    pub fn allow_skip_pri(mut self, allow: bool) -> Self {
        self.skip_pri = allow;
        self
    }

    /// Reads one message, without what framed it. RFC 3164's times have no year: they get the one that brings them nearest to
    /// `now` (nanoseconds since 1970).
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn parse<'a>(&self, text: &'a str, now: u64) -> Result<Message<'a>, ParseError> {
        let mut fields = Fields::new(text);
        let priority = if self.skip_pri && !text.starts_with('<') {
            None
        } else {
            Some(fields.priority()?)
        };
        let message = match self.protocol {
            Protocol::Rfc5424 => rfc5424::parse(&mut fields)?,
            Protocol::Rfc3164 => rfc3164::parse(&mut fields, &self.zone, now)?,
        };
        Ok(Message {
            priority,
            ..message
        })
    }
}

/// OTLP's severity number and syslog's word for the severity of a priority.
#[must_use]
pub fn severity(priority: u8) -> (i32, &'static str) {
    match priority % 8 {
        0 => (21, "emerg"),
        1 => (19, "alert"),
        2 => (18, "crit"),
        3 => (17, "err"),
        4 => (13, "warning"),
        5 => (10, "notice"),
        6 => (9, "info"),
        _ => (5, "debug"),
    }
}

/// Takes RFC 6587's octet count off a message that was framed with it: `11 <34>1 - - …` begins with how many bytes follow. `None`
/// when it begins otherwise.
#[must_use]
pub fn without_octet_count(text: &str) -> Option<&str> {
    let (count, rest) = text.split_once(' ')?;
    let number = (1..=9).contains(&count.len()) && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: usize = count.parse().ok().filter(|_| number)?;
    // One that was cut has less.
    Some(rest.get(..count).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parser(protocol: Protocol) -> Parser {
        Parser::new(protocol, "UTC").unwrap()
    }

    #[test]
    fn locations_are_looked_up() {
        assert!(Parser::new(Protocol::Rfc3164, "Local").is_ok());
        assert!(Parser::new(Protocol::Rfc3164, "").is_ok());
        let error = Parser::new(Protocol::Rfc3164, "Mars/Olympus").unwrap_err();
        assert!(error.to_string().contains("found 'Mars/Olympus'"));
    }

    #[test]
    fn severities_are_the_collectors() {
        let numbers: Vec<_> = (0..8).map(|pri| severity(pri).0).collect();
        assert_eq!(numbers, [21, 19, 18, 17, 13, 10, 9, 5]);
        assert_eq!(severity(165), (10, "notice"));
    }

    #[test]
    fn octet_counts_are_taken_off() {
        assert_eq!(without_octet_count("4 <1>x\n"), Some("<1>x"));
        assert_eq!(without_octet_count("9 <1>x"), Some("<1>x"));
        for other in ["<1>x", "x <1>", "", "4", "+4 <1>x", "4444444444 x"] {
            assert_eq!(without_octet_count(other), None, "{other}");
        }
    }

    #[test]
    fn the_header_may_be_left_out_where_allowed() {
        let now = 1_760_227_200_000_000_000;
        let strict = parser(Protocol::Rfc3164);
        let text = "Oct 11 22:14:15 host su: x";
        assert!(strict.parse(text, now).is_err());
        let message = strict.clone().allow_skip_pri(true);
        assert_eq!(message.parse(text, now).unwrap().priority, None);
        let with = format!("<34>{text}");
        let found = message.parse(&with, now).unwrap();
        assert_eq!((found.priority, found.facility()), (Some(34), Some(4)));
        let modern = parser(Protocol::Rfc5424).allow_skip_pri(true);
        assert_eq!(modern.parse("1 - - - - - -", 0).unwrap().version, Some(1));
    }

    fn name() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[!-~]{1,60}".prop_filter("the nil value", |text| text != "-"))
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), now in any::<u64>()) {
            for protocol in [Protocol::Rfc5424, Protocol::Rfc3164] {
                let parser = parser(protocol);
                drop(parser.parse(&text, now));
                drop(parser.allow_skip_pri(true).parse(&text, now));
            }
            let _count = without_octet_count(&text);
        }

        /// Near misses: pieces of messages in any order.
        #[test]
        fn never_panics_on_pieces(pieces in prop::collection::vec(prop_oneof![
            Just("<34>"), Just("1 "), Just("2003-10-11T22:14:15.003Z "), Just("Oct 11 22:14:15 "), Just("Feb 29 24:00:60 "),
            Just("- "), Just("[a b=\""), Just("\\\""), Just("\"]"), Just("[a@1"), Just("] "), Just("é"), Just("su[1]: "), Just("\u{feff}"),
        ], 0..12), now in any::<u64>()) {
            let text = pieces.concat();
            for protocol in [Protocol::Rfc5424, Protocol::Rfc3164] {
                drop(parser(protocol).allow_skip_pri(true).parse(&text, now));
            }
        }

        #[test]
        fn what_is_written_is_read(
            priority in 0u8..192,
            seconds in 0i64..4_000_000_000,
            micros in 0u32..1_000_000,
            host in name(), app in name(), proc_id in name(), msg_id in name(),
            data in prop::collection::vec(("[a-zA-Z@.]{1,8}", prop::collection::vec(("[a-zA-Z]{1,8}", any::<String>()), 0..3)), 0..3),
            text in prop::option::of("[ -~é]{1,40}".prop_filter("a byte order mark is no text", |text| !text.starts_with('\u{feff}'))),
        ) {
            let or_nil = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
            let time = jiff::Timestamp::from_second(seconds).unwrap();
            let time = time.checked_add(jiff::SignedDuration::from_micros(i64::from(micros))).unwrap();
            let mut written = format!(
                "<{priority}>1 {time:.6} {} {} {} {} ",
                or_nil(&host), or_nil(&app), or_nil(&proc_id), or_nil(&msg_id)
            );
            if data.is_empty() {
                written.push('-');
            }
            for (id, params) in &data {
                written.push_str(&format!("[{id}"));
                for (key, value) in params {
                    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
                    written.push_str(&format!(" {key}=\"{value}\""));
                }
                written.push(']');
            }
            if let Some(text) = &text {
                written.push(' ');
                written.push_str(text);
            }
            let message = parser(Protocol::Rfc5424).parse(&written, 0).unwrap();
            prop_assert_eq!(message.priority, Some(priority));
            prop_assert_eq!(i128::from(message.time.unwrap()), time.as_nanosecond());
            prop_assert_eq!(message.hostname, host.as_deref());
            prop_assert_eq!(message.appname, app.as_deref());
            prop_assert_eq!(message.proc_id, proc_id.as_deref());
            prop_assert_eq!(message.msg_id, msg_id.as_deref());
            prop_assert_eq!(message.message, text.as_deref());
            let found: Vec<_> = message.structured_data.iter().map(|element| {
                let params = element.params.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into_owned())).collect::<Vec<_>>();
                (element.id.to_owned(), params)
            }).collect();
            prop_assert_eq!(found, data);
        }
    }
}
