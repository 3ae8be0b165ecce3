//! Syslog's messages: RFC 5424, and what RFC 3164 found in the wild.

use corten_config::types::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{Layout, Zones};
use crate::value::{Map, Value};

/// Which form messages have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protocol {
    /// Not said.
    #[default]
    #[serde(rename = "", alias = "unset")]
    Unset,
    /// `<34>Oct 11 22:14:15 host app[7]: message`
    Rfc3164,
    /// `<34>1 2003-10-11T22:14:15.003Z host app 7 ID47 [id key="value"] message`
    Rfc5424,
}

/// A message's fields, and what of it is not an attribute.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) fields: Map,
    /// Nanoseconds since 1970.
    pub(crate) time: Option<i128>,
    /// 0 (the system is unusable) to 7 (debug).
    pub(crate) severity: Option<u8>,
}

/// How messages are read.
#[derive(Clone, Debug)]
pub(crate) struct Syslog {
    pub(crate) protocol: Protocol,
    /// Where RFC 3164's times are.
    pub(crate) zones: Zones,
    pub(crate) stamp: Layout,
    /// A message may begin without `<priority>`.
    pub(crate) allow_skip_pri_header: bool,
    /// A message begins with its length.
    pub(crate) octet_counting: bool,
    pub(crate) max_octets: ByteSize,
    /// What ends a message: a newline or a zero.
    pub(crate) trailer: Option<char>,
}

impl Syslog {
    pub(crate) fn read(&self, text: &str, now: i128) -> Result<Message, String> {
        let mut rest = text;
        if self.octet_counting {
            let (len, message) = rest.split_once(' ').ok_or("the length is missing")?;
            let len: usize = len
                .parse()
                .ok()
                .filter(|_| len.len() < 10)
                .ok_or("expected the message's length before it")?;
            if len > self.max_octets.as_usize() {
                return Err(format!(
                    "the message says it has {len} bytes, more than max_octets ({})",
                    self.max_octets
                ));
            }
            rest = message
                .get(..len)
                .ok_or("the message is shorter than it says")?;
        }
        if let Some(trailer) = self.trailer {
            rest = rest.strip_suffix(trailer).unwrap_or(rest);
        }
        let mut message = Message {
            fields: Map::new(),
            time: None,
            severity: None,
        };
        match priority(rest) {
            Some((priority, after)) => {
                rest = after;
                message.fields.insert("priority", i64::from(priority));
                message.fields.insert("facility", i64::from(priority / 8));
                message.severity = Some(priority % 8);
            }
            None if self.allow_skip_pri_header && !rest.starts_with('<') => {}
            None => return Err("expected a priority such as <34>, 0 to 191".to_owned()),
        }
        match self.protocol {
            Protocol::Rfc3164 | Protocol::Unset => self.rfc3164(&mut message, rest, now)?,
            Protocol::Rfc5424 => rfc5424(&mut message, rest)?,
        }
        Ok(message)
    }

    fn rfc3164(&self, message: &mut Message, text: &str, now: i128) -> Result<(), String> {
        // `Jan  2 15:04:05`, or what modern daemons write.
        let stamp = text.get(..15);
        let rest = match stamp.map(|stamp| crate::time::parse(&self.stamp, &self.zones, stamp, now))
        {
            Some(Ok(time)) => {
                message.time = Some(time);
                text.get(15..).unwrap_or_default()
            }
            _ => {
                let (stamp, rest) = text.split_once(' ').unwrap_or((text, ""));
                let time = stamp.parse::<jiff::Timestamp>().map_err(|_| {
                    format!(
                        "expected a time such as Jan  2 15:04:05, found '{}'",
                        crate::time::short(text)
                    )
                })?;
                message.time = Some(time.as_nanosecond());
                rest
            }
        };
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (host, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err("expected a host name after the time".to_owned());
        }
        message.fields.insert("hostname", host);
        let end = rest
            .find(|c: char| {
                !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '(' | ')'))
            })
            .unwrap_or(rest.len());
        let (tag, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (process, after) = match after
            .strip_prefix('[')
            .and_then(|after| after.split_once(']'))
        {
            Some((process, after)) => (process, after),
            None => ("", after),
        };
        let text = match after.strip_prefix(':') {
            Some(text) if !tag.is_empty() && tag.len() <= 48 => {
                message.fields.insert("appname", tag);
                if !process.is_empty() {
                    message.fields.insert("proc_id", process);
                }
                text.strip_prefix(' ').unwrap_or(text)
            }
            _ => rest,
        };
        if !text.is_empty() {
            message.fields.insert("message", text);
        }
        Ok(())
    }
}

/// `<34>`, and what follows.
fn priority(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let plain = digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit());
    let value = digits.parse().ok().filter(|value| plain && *value <= 191)?;
    Some((value, rest))
}

fn rfc5424(message: &mut Message, text: &str) -> Result<(), String> {
    let mut rest = text;
    let mut word = |what: &str| {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        if word.is_empty() {
            return Err(format!("the {what} is missing"));
        }
        rest = after;
        Ok((word != "-").then_some(word))
    };
    let version = word("version")?.unwrap_or_default();
    let version: i64 = version
        .parse()
        .ok()
        .filter(|version| (1..1000).contains(version))
        .ok_or_else(|| {
            format!(
                "expected a version such as 1, found '{}'",
                crate::time::short(version)
            )
        })?;
    message.fields.insert("version", version);
    if let Some(stamp) = word("time")? {
        let time = stamp.parse::<jiff::Timestamp>().map_err(|_| {
            format!(
                "expected a time such as 2003-10-11T22:14:15.003Z, found '{}'",
                crate::time::short(stamp)
            )
        })?;
        message.time = Some(time.as_nanosecond());
    }
    for (name, what) in [
        ("hostname", "host name"),
        ("appname", "name of the application"),
        ("proc_id", "id of the process"),
        ("msg_id", "id of the message"),
    ] {
        if let Some(value) = word(what)? {
            message.fields.insert(name, value);
        }
    }
    let rest = if let Some(after) = rest.strip_prefix('-') {
        after
    } else {
        let (data, after) = structured_data(rest)?;
        message.fields.insert("structured_data", data);
        after
    };
    let text = match rest.strip_prefix(' ') {
        Some(text) => text,
        None if rest.is_empty() => "",
        None => return Err("expected a space after the structured data".to_owned()),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.is_empty() {
        message.fields.insert("message", text);
    }
    Ok(())
}

/// `[id key="value" …][id …]`
fn structured_data(text: &str) -> Result<(Map, &str), &'static str> {
    const EXPECTED: &str = "expected structured data such as - or [id key=\"value\"]";
    let mut data = Map::new();
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']']).ok_or(EXPECTED)?;
        let (id, mut params) = element.split_at_checked(end).ok_or(EXPECTED)?;
        if id.is_empty() || id.contains(['=', '"']) {
            return Err(EXPECTED);
        }
        let mut values = Map::new();
        while let Some(param) = params.strip_prefix(' ') {
            let (name, value) = param.split_once("=\"").ok_or(EXPECTED)?;
            if name.is_empty() || name.contains([' ', ']', '"', '=']) {
                return Err(EXPECTED);
            }
            let mut unescaped = String::new();
            let mut chars = value.chars();
            loop {
                match chars.next().ok_or(EXPECTED)? {
                    '"' => break,
                    '\\' => match chars.next().ok_or(EXPECTED)? {
                        c @ ('"' | '\\' | ']') => unescaped.push(c),
                        c => unescaped.extend(['\\', c]),
                    },
                    c => unescaped.push(c),
                }
            }
            values.insert(name, unescaped);
            params = chars.as_str();
        }
        rest = params.strip_prefix(']').ok_or(EXPECTED)?;
        data.insert(id, Value::Map(values));
    }
    if data.is_empty() {
        return Err(EXPECTED);
    }
    Ok((data, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Location;
    use proptest::prelude::*;

    /// 2020-06-15T00:00:00Z
    const NOW: i128 = 1_592_179_200_000_000_000;

    fn syslog(protocol: Protocol) -> Syslog {
        Syslog {
            protocol,
            zones: Zones::of(Location::utc()),
            stamp: Layout::gotime("Jan _2 15:04:05").unwrap(),
            allow_skip_pri_header: false,
            octet_counting: false,
            max_octets: ByteSize::new(8192),
            trailer: None,
        }
    }

    fn shown(syslog: &Syslog, text: &str) -> String {
        match syslog.read(text, NOW) {
            Ok(message) => {
                let time = message
                    .time
                    .map(|time| jiff::Timestamp::from_nanosecond(time).unwrap().to_string());
                format!(
                    "{} {:?} {}",
                    time.unwrap_or_default(),
                    message.severity,
                    message.fields.to_json()
                )
            }
            Err(error) => error,
        }
    }

    #[test]
    fn rfc_3164() {
        let syslog = syslog(Protocol::Rfc3164);
        for (text, expected) in [
            (
                "<34>Jan 12 06:30:00 1.2.3.4 apache_server: test message",
                r#"2020-01-12T06:30:00Z Some(2) {"appname":"apache_server","facility":4,"hostname":"1.2.3.4","message":"test message","priority":34}"#,
            ),
            (
                "<13>Dec  1 06:30:00 web sshd[812]: Accepted: x",
                r#"2019-12-01T06:30:00Z Some(5) {"appname":"sshd","facility":1,"hostname":"web","message":"Accepted: x","priority":13,"proc_id":"812"}"#,
            ),
            (
                "<13>2020-01-12T06:30:00.5+01:00 web no tag here",
                r#"2020-01-12T05:30:00.5Z Some(5) {"facility":1,"hostname":"web","message":"no tag here","priority":13}"#,
            ),
            (
                "Jan 12 06:30:00 h a: b",
                "expected a priority such as <34>, 0 to 191",
            ),
            (
                "<192>Jan 12 06:30:00 h a: b",
                "expected a priority such as <34>, 0 to 191",
            ),
            (
                "<34>yesterday h a: b",
                "expected a time such as Jan  2 15:04:05, found 'yesterday h a: b'",
            ),
            ("<34>Jan 12 06:30:00", "expected a host name after the time"),
        ] {
            assert_eq!(shown(&syslog, text), expected, "{text}");
        }
        let skip = Syslog {
            allow_skip_pri_header: true,
            ..syslog
        };
        assert_eq!(
            shown(&skip, "Jan 12 06:30:00 h a: b"),
            r#"2020-01-12T06:30:00Z None {"appname":"a","hostname":"h","message":"b"}"#
        );
    }

    #[test]
    fn rfc_5424() {
        let syslog = syslog(Protocol::Rfc5424);
        for (text, expected) in [
            (
                r#"<86>1 2015-08-05T21:58:59.693Z 192.168.1.132 SecureAuth0 23108 ID52020 [SecureAuth@27389 UserHostAddress="192.168.2.132" Realm="a\"b\]"][x] Found the user"#,
                r#"2015-08-05T21:58:59.693Z Some(6) {"appname":"SecureAuth0","facility":10,"hostname":"192.168.1.132","message":"Found the user","msg_id":"ID52020","priority":86,"proc_id":"23108","structured_data":{"SecureAuth@27389":{"Realm":"a\"b]","UserHostAddress":"192.168.2.132"},"x":{}},"version":1}"#,
            ),
            (
                "<0>1 - - - - - -",
                r#" Some(0) {"facility":0,"priority":0,"version":1}"#,
            ),
            (
                "<0>1 - - - - - - \u{feff}hi",
                r#" Some(0) {"facility":0,"message":"hi","priority":0,"version":1}"#,
            ),
            (
                "<0>x - - - - - -",
                "expected a version such as 1, found 'x'",
            ),
            ("<0>1 - - -", "the id of the process is missing"),
            (
                "<0>1 - - - - - [x",
                "expected structured data such as - or [id key=\"value\"]",
            ),
            (
                "<0>1 - - - - - -x",
                "expected a space after the structured data",
            ),
        ] {
            assert_eq!(shown(&syslog, text), expected, "{text}");
        }
        let counted = Syslog {
            octet_counting: true,
            trailer: Some('\n'),
            ..syslog
        };
        assert!(shown(&counted, "16 <0>1 - - - - - -").starts_with(" Some(0)"));
        assert!(shown(&counted, "19 <0>1 - - - - - - x\n").contains("\"x\""));
        assert_eq!(
            shown(&counted, "99 <0>1"),
            "the message is shorter than it says"
        );
        assert!(shown(&counted, "99999 <0>1").contains("max_octets"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "<[0-9]{1,3}>[1 ]{0,3}[-A-Za-z0-9 \\[\\]\"=\\\\:é]{0,40}", counted: bool) {
            for protocol in [Protocol::Rfc3164, Protocol::Rfc5424] {
                let syslog = Syslog { octet_counting: counted, ..syslog(protocol) };
                drop(syslog.read(&text, NOW));
            }
        }
    }
}
