//! A page that is written again is the page that would have been made anew.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use corten_exposition::{Format, Page, Report, Template, Translation};
use corten_pdata::Metrics;
use corten_pdata::build::MetricsBuilder;
use corten_pdata::metrics::Temporality;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Double(f64),
    Whole(i64),
}

#[derive(Clone, Debug, PartialEq)]
struct Point {
    device: String,
    number: Number,
    time: u64,
    ended: bool,
    exemplar: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Family {
    name: String,
    counter: bool,
    declared: bool,
    delta: bool,
    points: Vec<Point>,
    /// The count of a histogram besides.
    histogram: Option<u64>,
}

/// One message for each list.
fn messages(families: &[Vec<Family>]) -> Vec<Metrics> {
    let write = |families: &Vec<Family>| {
        let mut builder = MetricsBuilder::new();
        builder.resource(|resource| {
            resource.attribute_str("service.name", "x");
        });
        for family in families {
            let mut metric = builder.metric(&family.name, "Help.", "s");
            if family.declared {
                metric.metadata_str("prometheus.type", "counter");
            }
            let temporality = match family.delta {
                true => Temporality::Delta,
                false => Temporality::Cumulative,
            };
            let mut points = match family.counter {
                true => metric.sum(temporality, true),
                false => metric.gauge(),
            };
            for point in &family.points {
                points.point(|out| {
                    out.attribute_str("device", &point.device).time(point.time);
                    match point.number {
                        Number::Double(number) => out.double(number),
                        Number::Whole(number) => out.int(number),
                    };
                    if point.ended {
                        out.flags(1);
                    }
                    if let Some(value) = point.exemplar {
                        out.exemplar(|exemplar| {
                            exemplar.double(value);
                        });
                    }
                });
            }
            if let Some(count) = family.histogram {
                builder
                    .metric(&format!("{}_h", family.name), "", "")
                    .histogram(Temporality::Cumulative)
                    .point(|point| {
                        point.count(count).buckets(&[1.0], &[count, 0]);
                    });
            }
        }
        builder.finish()
    };
    families.iter().map(write).collect()
}

fn made_anew(format: Format, messages: &[Metrics]) -> (Vec<u8>, Report, Option<Template>) {
    let translation = Translation::default();
    let mut page = Page::new(format).noting_origins();
    for metrics in messages {
        translation.visit(metrics, &mut page);
    }
    let mut out = Vec::new();
    let (report, template) = page.write_and_learn(messages.iter(), &mut out);
    (out, report, template)
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<f64>().prop_map(Number::Double),
        (-5i32..5).prop_map(|number| Number::Double(number.into())),
        any::<i64>().prop_map(Number::Whole),
    ]
}

fn points() -> impl Strategy<Value = Point> {
    (
        "[a-c\"]{0,2}",
        numbers(),
        any::<u64>(),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.1, any::<f64>()),
    )
        .prop_map(|(device, number, time, ended, exemplar)| Point {
            device,
            number,
            time,
            ended,
            exemplar,
        })
}

fn families() -> impl Strategy<Value = Family> {
    (
        "[a-d]{1,2}(_total)?",
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop::collection::vec(points(), 0..4),
        prop::option::weighted(0.1, 0..9u64),
    )
        .prop_map(
            |(name, counter, declared, delta, points, histogram)| Family {
                name,
                counter,
                declared,
                delta,
                points,
                histogram,
            },
        )
}

fn pages() -> impl Strategy<Value = Vec<Vec<Family>>> {
    prop::collection::vec(prop::collection::vec(families(), 0..6), 1..3)
}

/// Gives the numbers of `page` that are of the same kind the values of `numbers`, in turn.
fn renumbered(page: &[Vec<Family>], numbers: &[Number]) -> Vec<Vec<Family>> {
    let mut page = page.to_vec();
    let mut numbers = numbers.iter().cycle();
    for point in page
        .iter_mut()
        .flatten()
        .flat_map(|family| &mut family.points)
    {
        match (&mut point.number, numbers.next()) {
            (Number::Double(number), Some(Number::Double(new))) => *number = *new,
            (Number::Whole(number), Some(Number::Whole(new))) => *number = *new,
            _ => {}
        }
        point.time = point.time.rotate_left(3);
    }
    page
}

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::TEXT, Format::OPEN_METRICS])
}

proptest! {
    #[test]
    fn other_numbers_on_the_same_page(
        format in formats(),
        page in pages(),
        numbers in prop::collection::vec(prop::collection::vec(numbers(), 1..9), 1..4),
    ) {
        let mut template = made_anew(format, &messages(&page)).2.unwrap();
        for numbers in numbers {
            let next = messages(&renumbered(&page, &numbers));
            let mut again = Vec::new();
            let report = template.write(format, next.iter(), &mut again).unwrap();
            let (anew, expected, _) = made_anew(format, &next);
            prop_assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(anew).unwrap());
            prop_assert_eq!(report, expected);
        }
    }

    #[test]
    fn whatever_else_is_another_is_seen(
        format in formats(),
        page in pages(),
        message in any::<prop::sample::Index>(),
        family in any::<prop::sample::Index>(),
        point in any::<prop::sample::Index>(),
        what in 0..8,
    ) {
        let mut other = page.clone();
        let families = message.get_mut(&mut other);
        prop_assume!(!families.is_empty());
        let changed = family.get_mut(families);
        match what {
            0 => changed.name.push('x'),
            1 => changed.counter = !changed.counter,
            2 => changed.declared = !changed.declared,
            3 => changed.histogram = Some(changed.histogram.unwrap_or(20) + 1),
            _ if changed.points.is_empty() => changed.points.push(Point {
                device: String::new(),
                number: Number::Whole(1),
                time: 0,
                ended: false,
                exemplar: None,
            }),
            4 => drop(changed.points.pop()),
            _ => {
                let point = point.get_mut(&mut changed.points);
                match what {
                    5 => point.device = point.device.replace(['a', 'b', 'c', '"'], "d") + "e",
                    6 => point.ended = !point.ended,
                    _ => point.number = match point.number {
                        Number::Double(_) => Number::Whole(1),
                        Number::Whole(_) => Number::Double(1.0),
                    },
                }
            }
        }
        let mut template = made_anew(format, &messages(&page)).2.unwrap();
        let mut out = Vec::new();
        prop_assert!(template.write(format, messages(&other).iter(), &mut out).is_none());
        prop_assert!(out.is_empty());
        // Nor is it taken for the page of another format.
        let syntax = if format == Format::TEXT { Format::OPEN_METRICS } else { Format::TEXT };
        prop_assert!(template.write(syntax, messages(&page).iter(), &mut out).is_none());
    }
}

#[test]
fn a_page_that_cannot_come_again_is_not_kept() {
    let page = |devices: usize| {
        let point = |device: usize| Point {
            device: device.to_string(),
            number: Number::Double(1.0),
            time: 1,
            ended: false,
            exemplar: None,
        };
        messages(&[vec![Family {
            name: "a".to_owned(),
            counter: false,
            declared: true,
            delta: false,
            points: (0..devices).map(point).collect(),
            histogram: None,
        }]])
    };
    assert!(made_anew(Format::TEXT, &page(10)).2.is_some());
    assert!(made_anew(Format::TEXT, &page(50_000)).2.is_none());
    assert!(made_anew(Format::PROTOBUF, &page(10)).2.is_none());
    let messages = page(10);
    let translation = Translation::default();
    let mut with_times = Page::new(Format::TEXT)
        .with_timestamps(true)
        .noting_origins();
    for metrics in &messages {
        translation.visit(metrics, &mut with_times);
    }
    let (_, template) = with_times.write_and_learn(messages.iter(), &mut Vec::new());
    assert!(template.is_none());
}
