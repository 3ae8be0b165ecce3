//! `Mmm dd hh:mm:ss HOSTNAME TAG[PID]: MESSAGE`, and what is written in its place.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::fields::{Fields, civil, nanos};
use super::{Message, ParseError};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A clock may be ahead, by a wrong zone or otherwise; a message from further ahead is of the year before.
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What follows the priority.
pub(super) fn parse<'a>(
    fields: &mut Fields<'a>,
    zone: &TimeZone,
    now: u64,
) -> Result<Message<'a>, ParseError> {
    // Some devices put spaces, a star or a sequence number there; the star says that the clock was never set.
    let start = fields.clone();
    while fields.take(b' ') || fields.take(b'*') {}
    let time = if fields.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        fields.rfc3339()
    } else {
        stamp(fields, zone, now)
    };
    let Some(time) = time else {
        return start.expected("a time such as 'Oct 11 22:14:15' (is this RFC 5424?)");
    };
    if fields.peek().is_some() {
        fields.take(b':');
        fields.space()?;
    }
    let hostname = hostname(fields);
    let (appname, proc_id) = tag(fields);
    let text = fields.rest();
    Ok(Message {
        time: Some(time),
        hostname,
        appname,
        proc_id,
        message: Some(text).filter(|text| !text.is_empty()),
        ..Message::default()
    })
}

/// `Oct 11 22:14:15`, or with a year before or behind the clock's time.
fn stamp(fields: &mut Fields<'_>, zone: &TimeZone, now: u64) -> Option<u64> {
    let name = fields.take_while(|byte| byte.is_ascii_alphabetic());
    let month = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(name))?;
    let month = u32::try_from(month + 1).ok()?;
    if !fields.take(b' ') {
        return None;
    }
    fields.take(b' ');
    let day = fields.number(2)?;
    if !fields.take(b' ') {
        return None;
    }
    let mut year = None;
    let mut probe = fields.clone();
    if let Some(number) = probe.number(4).filter(|number| *number >= 1000)
        && probe.take(b' ')
    {
        year = Some(number);
        *fields = probe;
    }
    let clock = fields.time_of_day()?;
    let mut probe = fields.clone();
    if year.is_none()
        && probe.take(b' ')
        && let Some(number) = probe
            .number(4)
            .filter(|number| (1970..2200).contains(number))
        && matches!(probe.peek(), Some(b' ' | b':'))
    {
        year = Some(number);
        *fields = probe;
    }
    let instant = |year: u32| {
        let time = civil(year, month, day, clock)?;
        zone.to_ambiguous_timestamp(time).compatible().ok()
    };
    if let Some(year) = year {
        return nanos(instant(year)?);
    }
    let now = Timestamp::from_nanosecond(i128::from(now)).ok()?;
    let this = u32::try_from(now.to_zoned(zone.clone()).year()).ok()?;
    // Of next year, when the sender's clock is over New Year and ours is not.
    let newest = [this + 1, this, this.saturating_sub(1)]
        .into_iter()
        .filter_map(instant)
        .find(|time| time.duration_since(now) <= AHEAD);
    // The 29th of February is in one year of four.
    let time = newest.or_else(|| (2..8).find_map(|ago| instant(this.saturating_sub(ago))))?;
    nanos(time)
}

/// The next word, unless it is a tag already, as local programs write.
fn hostname<'a>(fields: &mut Fields<'a>) -> Option<&'a str> {
    let mut probe = fields.clone();
    let word = probe.take_while(|byte| byte != b' ');
    let more = probe.take(b' ');
    if word.is_empty() || !more || word.ends_with(':') || word.ends_with(']') {
        return None;
    }
    *fields = probe;
    Some(word)
}

/// `su:`, `su[17]:`; what does not look like one belongs to the message.
fn tag<'a>(fields: &mut Fields<'a>) -> (Option<&'a str>, Option<&'a str>) {
    let mut probe = fields.clone();
    let name = probe.take_while(|byte| byte.is_ascii_graphic() && !matches!(byte, b'[' | b':'));
    let mut proc_id = None;
    if probe.take(b'[') {
        let id = probe.take_while(|byte| byte != b']' && byte != b' ');
        if !probe.take(b']') {
            return (None, None);
        }
        proc_id = Some(id).filter(|id| !id.is_empty());
    }
    let colon = probe.take(b':');
    if name.is_empty() || !(colon || proc_id.is_some()) {
        return (None, None);
    }
    probe.take(b' ');
    *fields = probe;
    (Some(name), proc_id)
}

#[cfg(test)]
mod tests {
    use crate::syslog::{Message, Parser, Protocol};

    /// 2025-10-12T00:00:00Z
    const NOW: u64 = 1_760_227_200_000_000_000;

    fn parse(text: &str) -> Message<'_> {
        Parser::new(Protocol::Rfc3164, "")
            .unwrap()
            .parse(text, NOW)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn fields(text: &str) -> [Option<&str>; 4] {
        let message = parse(text);
        [
            message.hostname,
            message.appname,
            message.proc_id,
            message.message,
        ]
    }

    #[test]
    fn the_standards_examples() {
        let message =
            parse("<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8");
        assert_eq!(message.priority, Some(34));
        assert_eq!(message.time, Some(1_760_220_855_000_000_000));
        assert_eq!(message.hostname, Some("mymachine"));
        assert_eq!(message.appname, Some("su"));
        assert_eq!(
            message.message,
            Some("'su root' failed for lonvick on /dev/pts/8")
        );
        assert_eq!(
            fields("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!"),
            [Some("10.0.0.99"), None, None, Some("Use the BFG!")]
        );
    }

    #[test]
    fn what_the_field_writes() {
        assert_eq!(
            fields("<30>Oct 11 22:14:15 node sshd[1234]: Accepted publickey"),
            [
                Some("node"),
                Some("sshd"),
                Some("1234"),
                Some("Accepted publickey")
            ]
        );
        // Through /dev/log there is no hostname.
        assert_eq!(
            fields("<13>Oct 11 22:14:15 root: hello"),
            [None, Some("root"), None, Some("hello")]
        );
        assert_eq!(
            fields("<13>Oct 11 22:14:15 cron[7]: hello"),
            [None, Some("cron"), Some("7"), Some("hello")]
        );
        assert_eq!(
            fields("<13>Oct 11 22:14:15 host postfix/smtpd[7]: a: b"),
            [Some("host"), Some("postfix/smtpd"), Some("7"), Some("a: b")]
        );
        assert_eq!(
            fields("<13>Oct 11 22:14:15 host kernel:"),
            [Some("host"), Some("kernel"), None, None]
        );
        assert_eq!(fields("<13>Oct 11 22:14:15"), [None; 4]);
        assert_eq!(
            fields("<13>Oct 11 22:14:15 fe80::1 x: y"),
            [Some("fe80::1"), Some("x"), None, Some("y")]
        );
        assert_eq!(
            fields("<13>Oct 11 22:14:15 host x[7 y"),
            [Some("host"), None, None, Some("x[7 y")]
        );
    }

    #[test]
    fn times_are_of_the_nearest_year() {
        let time = |text: &str, now: u64| {
            Parser::new(Protocol::Rfc3164, "")
                .unwrap()
                .parse(text, now)
                .unwrap()
                .time
                .unwrap()
        };
        // 2026-01-01T00:00:10Z
        let new_year = 1_767_225_610_000_000_000;
        assert_eq!(
            time("<1>Dec 31 23:59:59 h x", new_year),
            1_767_225_599_000_000_000
        );
        assert_eq!(
            time("<1>Jan  1 00:00:00 h x", new_year - 20_000_000_000),
            1_767_225_600_000_000_000
        );
        // 2024 had a 29th of February.
        assert_eq!(
            time("<1>Feb 29 00:00:00 h x", NOW),
            1_709_164_800_000_000_000
        );
        for text in [
            "<1>Oct 11 2003 22:14:15 h x",
            "<1>Oct 11 22:14:15 2003 h x",
            "<1>2003-10-11T22:14:15Z h x",
            "<1>*Oct 11 2003 22:14:15: h x",
        ] {
            assert_eq!(time(text, NOW), 1_065_910_455_000_000_000, "{text}");
            assert_eq!(parse(text).hostname, Some("h"), "{text}");
        }
        assert_eq!(
            time("<1>Oct 11 22:14:15.5 h x", NOW),
            1_760_220_855_500_000_000
        );
    }

    #[test]
    fn the_location_counts() {
        let parser = Parser::new(Protocol::Rfc3164, "Europe/Berlin").unwrap();
        let message = parser.parse("<1>Oct 11 22:14:15 h x: y", NOW).unwrap();
        assert_eq!(message.time, Some(1_760_213_655_000_000_000));
    }

    #[test]
    fn what_is_wrong_says_so() {
        for text in [
            "<34>1 2003-10-11T22:14:15.003Z h a - - -",
            "<34>",
            "<34>hello",
            "<34>Oct 32 22:14:15 h x",
            "<34>Oct 11 25:00:00 h x",
            "<34>Oct 11 2:00 h x",
        ] {
            let error = Parser::new(Protocol::Rfc3164, "")
                .unwrap()
                .parse(text, NOW)
                .unwrap_err();
            assert!(
                error.to_string().contains("(is this RFC 5424?) at byte 4"),
                "{text}: {error}"
            );
        }
    }
}
