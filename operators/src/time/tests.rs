use super::*;
use proptest::prelude::*;

/// 2026-06-15T12:00:00Z
const NOW: i128 = 1_781_524_800_000_000_000;

fn zones(location: &str) -> Zones {
    Zones::of(location.parse().unwrap())
}

fn shown(result: Result<i128, String>) -> String {
    match result {
        Ok(nanos) => jiff::Timestamp::from_nanosecond(nanos).unwrap().to_string(),
        Err(error) => error,
    }
}

fn strptime(layout: &str, text: &str) -> String {
    shown(parse(
        &Layout::strptime(layout).unwrap(),
        &zones("UTC"),
        text,
        NOW,
    ))
}

fn gotime(layout: &str, text: &str) -> String {
    shown(parse(
        &Layout::gotime(layout).unwrap(),
        &zones("UTC"),
        text,
        NOW,
    ))
}

#[test]
fn strptime_layouts() {
    for (layout, text, expected) in [
        ("%Y-%m-%d", "2020-01-31", "2020-01-31T00:00:00Z"),
        (
            "%Y-%m-%dT%H:%M:%S.%LZ",
            "2022-01-02T14:24:56.123123123Z",
            "2022-01-02T14:24:56.123123123Z",
        ),
        (
            "%Y-%m-%d %H:%M:%S.%f %z",
            "2022-01-02 07:24:56,123 -0700",
            "2022-01-02T14:24:56.123Z",
        ),
        (
            "%Y-%m-%d %H:%M:%S,%L",
            "2022-01-02 07:24:56.5",
            "2022-01-02T07:24:56.5Z",
        ),
        (
            "%Y-%m-%dT%H:%M:%S%z",
            "2022-01-02T07:24:56+02:00",
            "2022-01-02T05:24:56Z",
        ),
        (
            "%Y-%m-%dT%H:%M:%S%j",
            "2022-01-02T07:24:56+02:00",
            "2022-01-02T05:24:56Z",
        ),
        (
            "%Y-%m-%dT%H:%M:%S%i",
            "2022-01-02T07:24:56-03",
            "2022-01-02T10:24:56Z",
        ),
        (
            "%Y-%m-%dT%H:%M:%S%z",
            "2022-01-02T07:24:56Z",
            "2022-01-02T07:24:56Z",
        ),
        (
            "%d/%b/%Y:%H:%M:%S %z",
            "10/Oct/2000:13:55:36 -0700",
            "2000-10-10T20:55:36Z",
        ),
        (
            "%a %b %e %H:%M:%S %Z %Y",
            "Fri Jun 5 13:50:27 EST 2020",
            "2020-06-05T18:50:27Z",
        ),
        (
            "%a, %d %B %Y %I:%M:%S %p",
            "Sun, 09 February 2025 12:05:00 AM",
            "2025-02-09T00:05:00Z",
        ),
        ("%D %r", "02/09/25 3:05:00 PM", "2025-02-09T15:05:00Z"),
        ("%c", "Mon Jan 02 15:04:05 2006", "2006-01-02T15:04:05Z"),
        ("%F %R", "2006-01-02 15:04", "2006-01-02T15:04:00Z"),
        (
            "%Y%m%d%H%M%S%L",
            "20250209150405123",
            "2025-02-09T15:04:05.123Z",
        ),
        ("%q/%g/%y", "2/9/69", "1969-02-09T00:00:00Z"),
        (
            "%Y-%m-%d %H:%M:%S",
            "2025-02-09 15:04:60",
            "2025-02-09T15:05:00Z",
        ),
        // The fraction that the layout left out.
        (
            "%H:%M:%S %d.%m.%Y",
            "15:04:05.25 09.02.2025",
            "2025-02-09T15:04:05.25Z",
        ),
        // Without a year: this one's, unless that were more than a week ahead.
        ("%b %d %H:%M:%S", "Jun 16 00:00:00", "2026-06-16T00:00:00Z"),
        ("%b %e %H:%M:%S", "Dec  1 00:00:00", "2025-12-01T00:00:00Z"),
        ("%Y-%m-%d %Z", "2025-02-09 GMT+3", "2025-02-08T21:00:00Z"),
        ("%%%Y%t%n%m", "%2025\t\n02", "2025-02-01T00:00:00Z"),
    ] {
        assert_eq!(strptime(layout, text), expected, "{layout}");
    }
    for (layout, text) in [
        ("%Y-%m-%d", "2020-01-31x"),
        ("%Y-%m-%d", "2020-1-31"),
        ("%Y-%m-%d", "2020-02-30"),
        ("%Y-%m-%d", "2020-13-01"),
        ("%H:%M", "24:00"),
        ("%b", "Foo"),
        ("%z", "0200"),
        ("%Y-%m-%d", ""),
        ("%Y", "äöüß"),
    ] {
        let error = strptime(layout, text);
        assert!(
            error.starts_with("expected a time like") || error.starts_with("there is no time"),
            "{error}"
        );
    }
    assert!(
        Layout::strptime("%Q")
            .unwrap_err()
            .contains("'%Q', which does not exist")
    );
    assert!(
        Layout::strptime("a%")
            .unwrap_err()
            .contains("ends with a '%'")
    );
    assert!(
        Layout::strptime("%%")
            .unwrap_err()
            .contains("says nothing of a time")
    );
}

#[test]
fn gos_layouts() {
    for (layout, text, expected) in [
        (
            "Jan 2 15:04:05 MST 2006",
            "Jun 5 13:50:27 EST 2020",
            "2020-06-05T18:50:27Z",
        ),
        (
            "2006-01-02T15:04:05.999999999Z07:00",
            "2016-10-06T00:17:09.669794202Z",
            "2016-10-06T00:17:09.669794202Z",
        ),
        (
            "2006-01-02T15:04:05Z07:00",
            "2016-10-06T00:17:09.5+02:00",
            "2016-10-05T22:17:09.5Z",
        ),
        (
            "2006-01-02 15:04:05,000",
            "2016-10-06 00:17:09,123",
            "2016-10-06T00:17:09.123Z",
        ),
        (
            "Monday, 02-Jan-06 15:04:05 MST",
            "Monday, 02-Jan-06 15:04:05 UTC",
            "2006-01-02T15:04:05Z",
        ),
        (
            "Mon Jan _2 15:04:05 2006",
            "Mon Jan  2 15:04:05 2006",
            "2006-01-02T15:04:05Z",
        ),
        (
            "Mon Jan 02 15:04:05 -0700 2006",
            "Mon Jan 02 15:04:05 -0700 2006",
            "2006-01-02T22:04:05Z",
        ),
        ("3:04PM 2006", "3:04PM 2020", "2020-01-01T15:04:00Z"),
        ("2006.002", "2020.060", "2020-02-29T00:00:00Z"),
        ("log_2006", "log_2020", "2020-01-01T00:00:00Z"),
        ("20060102150405", "20201231235959", "2020-12-31T23:59:59Z"),
    ] {
        assert_eq!(gotime(layout, text), expected, "{layout}");
    }
    assert!(Layout::gotime("hello").is_err());
}

#[test]
fn zones_by_location_and_abbreviation() {
    if "Europe/Berlin".parse::<Location>().is_err() {
        // A machine without the time zone database has nothing to test.
        return;
    }
    let layout = Layout::strptime("%Y-%m-%d %H:%M %Z").unwrap();
    let plain = Layout::strptime("%Y-%m-%d %H:%M").unwrap();
    let mut zones = zones("Europe/Berlin");
    assert_eq!(
        shown(parse(&plain, &zones, "2025-01-15 10:00", NOW)),
        "2025-01-15T09:00:00Z"
    );
    assert_eq!(
        shown(parse(&plain, &zones, "2025-07-15 10:00", NOW)),
        "2025-07-15T08:00:00Z"
    );
    assert_eq!(
        shown(parse(&layout, &zones, "2025-07-15 10:00 CEST", NOW)),
        "2025-07-15T08:00:00Z"
    );
    assert_eq!(
        shown(parse(&layout, &zones, "2025-07-15 10:00 CET", NOW)),
        "2025-07-15T09:00:00Z"
    );
    assert_eq!(
        shown(parse(&layout, &zones, "2025-07-15 10:00 UTC", NOW)),
        "2025-07-15T10:00:00Z"
    );
    assert_eq!(
        shown(parse(&layout, &zones, "2025-07-15 10:00 XYZ", NOW)),
        "2025-07-15T10:00:00Z"
    );
    zones
        .by_name
        .insert("PDT".to_owned(), "America/Los_Angeles".parse().unwrap());
    assert_eq!(
        shown(parse(&layout, &zones, "2025-08-20 14:08 PDT", NOW)),
        "2025-08-20T21:08:00Z"
    );
    let error = "Europe/Berlni".parse::<Location>().unwrap_err();
    assert!(error.contains("found 'Europe/Berlni'"), "{error}");
}

#[test]
fn numbers_since_1970() {
    let text = |layout: &str, text: &str| Epoch::of(layout).unwrap().parse(&text.into());
    for (layout, value, expected) in [
        ("s", Value::from("1136214245"), 1_136_214_245_000_000_000),
        ("s", 1_136_214_245.into(), 1_136_214_245_000_000_000),
        ("s", 1_136_214_245.5.into(), 1_136_214_245_500_000_000),
        (
            "ms",
            1_136_214_245_123_i64.into(),
            1_136_214_245_123_000_000,
        ),
        (
            "us",
            1_136_214_245_123_456_i64.into(),
            1_136_214_245_123_456_000,
        ),
        (
            "ns",
            1_136_214_245_123_456_789_i64.into(),
            1_136_214_245_123_456_789,
        ),
        ("s.ms", "1136214245.123".into(), 1_136_214_245_123_000_000),
        (
            "s.us",
            "1136214245.123456".into(),
            1_136_214_245_123_456_000,
        ),
        (
            "s.ns",
            "1136214245.123456789".into(),
            1_136_214_245_123_456_789,
        ),
        ("s.ns", "1136214245".into(), 1_136_214_245_000_000_000),
        ("s.ms", 1_136_214_245.123.into(), 1_136_214_245_123_000_000),
        (
            "s.us",
            1_136_214_245.123_456.into(),
            1_136_214_245_123_456_000,
        ),
        ("s.ms", 1_136_214_245.into(), 1_136_214_245_000_000_000),
        ("s.ms", "-1.5".into(), -1_500_000_000),
    ] {
        assert_eq!(
            Epoch::of(layout).unwrap().parse(&value),
            Ok(expected),
            "{layout} {value:?}"
        );
    }
    assert!(Epoch::of("m").is_none());
    for bad in ["", "x", "1.5.5", "1e5", "99999999999999999999"] {
        assert!(text("s.ms", bad).is_err(), "{bad}");
        assert!(text("s", bad).is_err(), "{bad}");
    }
    assert!(Epoch::Seconds.parse(&f64::NAN.into()).is_err());
    assert!(Epoch::Seconds.parse(&Value::Null).is_err());
}

proptest! {
    #[test]
    fn never_panics(layout in "(%[a-zA-Z%]|[ .:T-]){0,12}", text in "[A-Za-z0-9 .,:+äZ-]{0,30}") {
        if let Ok(layout) = Layout::strptime(&layout) {
            drop(parse(&layout, &zones("UTC"), &text, NOW));
        }
    }

    #[test]
    fn gos_never_panic(layout in "([ .:T-]|2006|01|02|_2|15|04|05|.000|MST|Z07:00|Jan|é){0,12}", text in "[A-Za-z0-9 .,:+äZ-]{0,30}") {
        if let Ok(layout) = Layout::gotime(&layout) {
            drop(parse(&layout, &zones("UTC"), &text, NOW));
        }
    }

    /// What is written is read.
    #[test]
    fn reads_what_jiff_writes(seconds in -62_000_000_000_i64..250_000_000_000, nanos in 0_i32..1_000_000_000) {
        let time = jiff::Timestamp::new(seconds, if seconds < 0 { 0 } else { nanos }).unwrap();
        let text = time.strftime("%Y-%m-%dT%H:%M:%S.%9f%z").to_string();
        let layout = Layout::strptime("%Y-%m-%dT%H:%M:%S.%s%z").unwrap();
        prop_assert_eq!(parse(&layout, &zones("UTC"), &text, NOW), Ok(time.as_nanosecond()));
    }
}
