use corten_pdata::model::common::KeyValue;
use corten_pdata::model::common::any_value::Value;
use corten_pdata::model::metrics::metric::Data;
use corten_pdata::model::metrics::{Gauge, Sum, number_data_point};
use expect_test::{Expect, expect};

use super::*;

const NOW: u64 = 1_700_000_000_000_000_000;

fn identity() -> Identity {
    let labels = [("job", "web"), ("instance", "a:1"), ("zone", "z")];
    Identity {
        labels: labels
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        attributes: vec![("server.address".to_owned(), "a".to_owned())],
    }
}

fn text(page: &str, open_metrics: bool) -> Text {
    Text::new(Bytes::copy_from_slice(page.as_bytes()), None, open_metrics)
}

fn report() -> Report {
    Report {
        up: true,
        seconds: 0.5,
    }
}

fn scrape(
    page: &str,
    open_metrics: bool,
    treatment: &Treatment,
    seen: &mut Seen,
) -> Result<(String, Outcome), PageError> {
    let page = text(page, open_metrics);
    let (metrics, outcome) = convert(page, &identity(), treatment, NOW, report, seen)?;
    Ok((without_report(&shown(&metrics)), outcome))
}

fn pairs(attributes: &[KeyValue]) -> String {
    let one = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(value)) => format!("{}={value}", pair.key),
        other => format!("{}={other:?}", pair.key),
    };
    format!(
        "{{{}}}",
        attributes.iter().map(one).collect::<Vec<_>>().join(" ")
    )
}

/// When, in seconds: the scrape's own time is left out.
fn when(start: u64, time: u64, flags: u32) -> String {
    let seconds = |time: u64| time as f64 / 1e9;
    let mut text = String::new();
    if start > 0 {
        text += &format!(" since {}", seconds(start));
    }
    if time != NOW {
        text += &format!(" at {}", seconds(time));
    }
    if flags != 0 {
        text += &format!(" ENDED({flags})");
    }
    text
}

/// Metrics, a line for each fact that matters here.
fn shown(metrics: &Metrics) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for resource in metrics.decode().unwrap().resource_metrics {
        writeln!(
            out,
            "resource {}",
            pairs(&resource.resource.unwrap().attributes)
        )
        .unwrap();
        for scope in resource.scope_metrics {
            let own = scope.scope.unwrap();
            if own.name != "prometheus" {
                writeln!(
                    out,
                    "scope {} {} {}",
                    own.name,
                    own.version,
                    pairs(&own.attributes)
                )
                .unwrap();
            }
            for metric in scope.metrics {
                let kind = match &metric.data {
                    Some(Data::Gauge(_)) => "gauge",
                    Some(Data::Sum(sum)) if sum.is_monotonic => "counter",
                    Some(Data::Sum(_)) => "sum",
                    Some(Data::Histogram(_)) => "histogram",
                    Some(Data::Summary(_)) => "summary",
                    _ => "?",
                };
                let (name, unit, about) = (&metric.name, &metric.unit, &metric.description);
                writeln!(
                    out,
                    "{name}: {kind} {} [{unit}] {about}",
                    pairs(&metric.metadata)
                )
                .unwrap();
                match metric.data.unwrap() {
                    Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. }) => {
                        for point in data_points {
                            let value = match point.value {
                                Some(number_data_point::Value::AsDouble(value)) => {
                                    format!(" = {value}")
                                }
                                other => format!(" {other:?}"),
                            };
                            let when = when(
                                point.start_time_unix_nano,
                                point.time_unix_nano,
                                point.flags,
                            );
                            writeln!(out, "  {}{value}{when}", pairs(&point.attributes)).unwrap();
                            for one in point.exemplars {
                                writeln!(
                                    out,
                                    "    e.g. {:?} {} {:02x?}/{:02x?}",
                                    one.value,
                                    pairs(&one.filtered_attributes),
                                    one.trace_id,
                                    one.span_id
                                )
                                .unwrap();
                            }
                        }
                    }
                    Data::Histogram(histogram) => {
                        for point in histogram.data_points {
                            let when = when(
                                point.start_time_unix_nano,
                                point.time_unix_nano,
                                point.flags,
                            );
                            writeln!(
                                out,
                                "  {} {}/{:?} {:?} {:?} {}{when}",
                                pairs(&point.attributes),
                                point.count,
                                point.sum,
                                point.explicit_bounds,
                                point.bucket_counts,
                                point.exemplars.len()
                            )
                            .unwrap();
                        }
                    }
                    Data::Summary(summary) => {
                        for point in summary.data_points {
                            let quantiles: Vec<_> = point
                                .quantile_values
                                .iter()
                                .map(|one| (one.quantile, one.value))
                                .collect();
                            let when = when(
                                point.start_time_unix_nano,
                                point.time_unix_nano,
                                point.flags,
                            );
                            writeln!(
                                out,
                                "  {} {}/{} {quantiles:?}{when}",
                                pairs(&point.attributes),
                                point.count,
                                point.sum
                            )
                            .unwrap();
                        }
                    }
                    other => writeln!(out, "  {other:?}").unwrap(),
                }
            }
        }
    }
    out
}

/// Without the five metrics of the scrape itself.
fn without_report(rendered: &str) -> String {
    let mut own = false;
    let theirs = |line: &&str| {
        if !line.starts_with(' ') {
            own = line.starts_with("up:") || line.starts_with("scrape_");
        }
        !own
    };
    rendered
        .lines()
        .filter(theirs)
        .collect::<Vec<_>>()
        .join("\n")
}

fn treatment() -> Treatment {
    Treatment {
        honor_timestamps: true,
        ..Treatment::default()
    }
}

fn check(page: &str, open_metrics: bool, expected: &Expect) {
    let (rendered, _) = scrape(page, open_metrics, &treatment(), &mut Seen::default()).unwrap();
    expected.assert_eq(&rendered);
}

#[test]
fn text_of_every_type() {
    check(
        "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} 5 1600000000000\nhttp_requests_total{code=\"500\"} 1\n\
         # TYPE heat gauge\nheat -3.5\n\
         # TYPE wait_seconds histogram\nwait_seconds_bucket{le=\"0.1\"} 1\nwait_seconds_bucket{le=\"1\"} 3\nwait_seconds_bucket{le=\"+Inf\"} 4\nwait_seconds_sum 7.5\nwait_seconds_count 4\n\
         # TYPE size summary\nsize{quantile=\"0.5\"} 10\nsize{quantile=\"0.99\"} 20\nsize_sum 30\nsize_count 3\n\
         odd{empty=\"\"} NaN\n",
        false,
        &expect![[r#"
            resource {service.name=web service.instance.id=a:1 server.address=a}
            http_requests_total: counter {prometheus.type=counter} [] Requests.
              {code=200 zone=z} = 5 at 1600000000
              {code=500 zone=z} = 1
            heat: gauge {prometheus.type=gauge} [] 
              {zone=z} = -3.5
            wait_seconds: histogram {prometheus.type=histogram} [] 
              {zone=z} 4/Some(7.5) [0.1, 1.0] [1, 2, 1] 0
            size: summary {prometheus.type=summary} [] 
              {zone=z} 3/30 [(0.5, 10.0), (0.99, 20.0)]
            odd: gauge {prometheus.type=unknown} [] 
              {zone=z} = NaN"#]],
    );
}

#[test]
fn open_metrics_of_every_type() {
    check(
        "# HELP requests Requests.\n# TYPE requests counter\n# UNIT requests seconds\nrequests_total{a=\"b\"} 5 1600000000.5 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",span_id=\"b7ad6b7169203331\",user=\"u\"} 0.67 1600000000\nrequests_created{a=\"b\"} 1500000000\n\
         # TYPE build info\nbuild_info{version=\"1\"} 1\n\
         # TYPE state stateset\nstate{state=\"on\"} 1\n\
         # TYPE what unknown\nwhat 3\n\
         # TYPE depth gaugehistogram\ndepth_bucket{le=\"+Inf\"} 1\n\
         # TYPE wait histogram\nwait_bucket{le=\"+Inf\"} 4 # {} 1\nwait_sum 1\nwait_count 4\nwait_created 1500000000\n\
         # TYPE target info\ntarget_info{version=\"2\",service_name=\"other\"} 1\n\
         # EOF\n",
        true,
        &expect![[r#"
            resource {service.name=web service.instance.id=a:1 server.address=a version=2 service_name=other}
            requests_total: counter {prometheus.type=counter} [s] Requests.
              {a=b zone=z} = 5 since 1500000000 at 1600000000.5
                e.g. Some(AsDouble(0.67)) {user=u} [0a, f7, 65, 19, 16, cd, 43, dd, 84, 48, eb, 21, 1c, 80, 31, 9c]/[b7, ad, 6b, 71, 69, 20, 33, 31]
            build_info: sum {prometheus.type=info} [] 
              {version=1 zone=z} = 1
            state: sum {prometheus.type=stateset} [] 
              {state=on zone=z} = 1
            what: gauge {prometheus.type=unknown} [] 
              {zone=z} = 3
            depth_bucket: gauge {prometheus.type=unknown} [] 
              {le=+Inf zone=z} = 1
            wait: histogram {prometheus.type=histogram} [] 
              {zone=z} 4/Some(1.0) [] [4] 1 since 1500000000"#]],
    );
}

#[test]
fn whose_a_series_is() {
    let page = "# TYPE a gauge\na{job=\"inner\",zone=\"own\"} 1\na{otel_scope_name=\"lib\",otel_scope_version=\"2\",otel_scope_x=\"y\"} 2\na{exported_job=\"x\",job=\"inner\"} 3\n";
    check(
        page,
        false,
        &expect![[r#"
            resource {service.name=web service.instance.id=a:1 server.address=a}
            a: gauge {prometheus.type=gauge} [] 
              {zone=z exported_job=inner exported_zone=own} = 1
              {exported_job=x exported_exported_job=inner zone=z} = 3
            resource {service.name=web service.instance.id=a:1 server.address=a}
            scope lib 2 {x=y}
            a: gauge {prometheus.type=gauge} [] 
              {zone=z} = 2"#]],
    );
    let honors = Treatment {
        honor_labels: true,
        ..treatment()
    };
    let (rendered, _) = scrape(page, false, &honors, &mut Seen::default()).unwrap();
    expect![[r#"
        resource {service.name=web service.instance.id=a:1 server.address=a}
        resource {service.name=inner service.instance.id=a:1 server.address=a}
        a: gauge {prometheus.type=gauge} [] 
          {zone=own} = 1
          {exported_job=x zone=z} = 3
        resource {service.name=web service.instance.id=a:1 server.address=a}
        scope lib 2 {x=y}
        a: gauge {prometheus.type=gauge} [] 
          {zone=z} = 2"#]]
    .assert_eq(&rendered);
}

fn rules(yaml: &str) -> Treatment {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Rules {
        rules: Vec<Rule>,
    }
    impl corten_config::Check for Rules {}
    let parsed = corten_config::from_str::<Rules>(&format!("rules: {yaml}"));
    Treatment {
        rules: parsed.unwrap_or_else(|problems| panic!("{problems}")).rules,
        external_labels: [
            ("zone".to_owned(), "never".to_owned()),
            ("dc".to_owned(), "d1".to_owned()),
        ]
        .into(),
        ..treatment()
    }
}

#[test]
fn rules_choose_and_rename_series() {
    let treatment = rules(
        "[{source_labels: [__name__], regex: 'go_.*', action: drop},
          {source_labels: [__name__], regex: 'old_(.*)', target_label: __name__, replacement: 'new_$1'},
          {source_labels: [le], regex: '0.1', action: drop},
          {regex: secret, action: labeldrop}]",
    );
    let page = "# TYPE go_x gauge\ngo_x 1\n# TYPE old_a counter\nold_a{secret=\"s\"} 2\n\
                # TYPE old_h histogram\nold_h_bucket{le=\"0.1\"} 1\nold_h_bucket{le=\"1\"} 2\nold_h_bucket{le=\"+Inf\"} 2\nold_h_sum 3\nold_h_count 2\n";
    let (rendered, outcome) = scrape(page, false, &treatment, &mut Seen::default()).unwrap();
    assert_eq!((outcome.scraped, outcome.kept, outcome.added), (7, 5, 5));
    expect![[r#"
        resource {service.name=web service.instance.id=a:1 server.address=a}
        new_a: counter {prometheus.type=counter} [] 
          {zone=z dc=d1} = 2
        new_h: histogram {prometheus.type=histogram} [] 
          {zone=z dc=d1} 2/Some(3.0) [1.0] [2, 0] 0"#]]
    .assert_eq(&rendered);
}

#[test]
fn what_is_gone_is_told_once() {
    let mut seen = Seen::default();
    let treatment = treatment();
    let page = |series: &str| {
        format!(
            "# TYPE a gauge\n{series}# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\ntimed 1 1600000000000\n"
        )
    };
    let both = page("a{b=\"1\"} 1\na{b=\"2\"} 2\n");
    let (_, outcome) = scrape(&both, false, &treatment, &mut seen).unwrap();
    assert_eq!(outcome.added, 6);
    let (rendered, outcome) =
        scrape(&page("a{b=\"2\"} 3\n"), false, &treatment, &mut seen).unwrap();
    // Times that the page says are not followed: `timed` counts as new each time.
    assert_eq!(outcome.added, 1);
    expect![[r#"
        resource {service.name=web service.instance.id=a:1 server.address=a}
        a: gauge {prometheus.type=gauge} [] 
          {b=2 zone=z} = 3
        h: histogram {prometheus.type=histogram} [] 
          {zone=z} 1/Some(1.0) [] [1] 0
        timed: gauge {prometheus.type=unknown} [] 
          {zone=z} = 1 at 1600000000
        a: gauge {prometheus.type=gauge} [] 
          {b=1 zone=z} None ENDED(1)"#]]
    .assert_eq(&rendered);
    // Bad pages change nothing: what was known is still to be ended.
    let bad = scrape("a{b=\"2\"} x\n", false, &treatment, &mut seen).unwrap_err();
    assert_eq!(bad.to_string(), "line 1: expected a number");
    let metrics = ended(
        &identity(),
        &treatment,
        NOW,
        Some(Report {
            up: false,
            seconds: 1.0,
        }),
        &mut seen,
    );
    expect![[r#"
        resource {service.name=web service.instance.id=a:1 server.address=a}
        a: gauge {prometheus.type=gauge} [] 
          {b=2 zone=z} None ENDED(1)
        h: histogram {prometheus.type=histogram} [] 
          {zone=z} 0/None [] [] 0 ENDED(1)
        up: gauge {prometheus.type=gauge} [] Whether the target could be scraped
          {zone=z} = 0
        scrape_duration_seconds: gauge {prometheus.type=gauge} [s] How long the scrape took
          {zone=z} = 1
        scrape_samples_scraped: gauge {prometheus.type=gauge} [] How many samples the page had
          {zone=z} = 0
        scrape_samples_post_metric_relabeling: gauge {prometheus.type=gauge} [] How many samples were left after metric_relabel_configs
          {zone=z} = 0
        scrape_series_added: gauge {prometheus.type=gauge} [] How many samples were of series that the scrape before did not have
          {zone=z} = 0
    "#]].assert_eq(&shown(&metrics));
    // Nothing is ended twice.
    let metrics = ended(&identity(), &treatment, NOW, None, &mut seen);
    expect![[r#"
        resource {service.name=web service.instance.id=a:1 server.address=a}
        up: gauge {prometheus.type=gauge} [] Whether the target could be scraped
          {zone=z} None ENDED(1)
        scrape_duration_seconds: gauge {prometheus.type=gauge} [s] How long the scrape took
          {zone=z} None ENDED(1)
        scrape_samples_scraped: gauge {prometheus.type=gauge} [] How many samples the page had
          {zone=z} None ENDED(1)
        scrape_samples_post_metric_relabeling: gauge {prometheus.type=gauge} [] How many samples were left after metric_relabel_configs
          {zone=z} None ENDED(1)
        scrape_series_added: gauge {prometheus.type=gauge} [] How many samples were of series that the scrape before did not have
          {zone=z} None ENDED(1)
    "#]].assert_eq(&shown(&metrics));
}

#[test]
fn names_lose_what_type_and_unit_say_where_that_is_wanted() {
    let trims = Treatment {
        trim: true,
        ..treatment()
    };
    let page = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\n\
                # TYPE b_total gauge\nb_total 2\n\
                # TYPE total counter\n# UNIT total seconds\ntotal 3\n\
                # TYPE c_bytes histogram\n# UNIT c_bytes bytes\nc_bytes_bucket{le=\"+Inf\"} 1\nc_bytes_count 1\nc_bytes_sum 1\n# EOF\n";
    let (rendered, _) = scrape(page, true, &trims, &mut Seen::default()).unwrap();
    let names: Vec<_> = rendered
        .lines()
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    assert_eq!(names, ["a", "b_total", "total", "c"], "{rendered}");
}

#[test]
fn times_are_exact_to_the_millisecond() {
    for (page, open_metrics, expected) in [
        ("a 1 1520879607789\n", false, 1_520_879_607_789_000_000),
        (
            "a 1 1520879607.789\n# EOF\n",
            true,
            1_520_879_607_789_000_000,
        ),
        ("a 1 -5\n", false, 0),
        ("a 1 1e300\n", false, u64::MAX),
    ] {
        let page = text(page, open_metrics);
        let mut seen = Seen::default();
        let (metrics, _) =
            convert(page, &identity(), &treatment(), NOW, report, &mut seen).unwrap();
        let decoded = metrics.decode().unwrap();
        let metric = &decoded.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(Data::Gauge(gauge)) = &metric.data else {
            panic!("{metric:?}");
        };
        assert_eq!(gauge.data_points[0].time_unix_nano, expected);
    }
}

#[test]
fn a_page_is_kept_as_it_was_sent() {
    use std::io::Write as _;

    let (plain, mut seen) = ("# TYPE a gauge\na 1\nb 2\n", Seen::default());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain.as_bytes()).unwrap();
    let packed = Packed::new(
        corten_net::body::Encoding::Gzip,
        gzip.finish().unwrap().into(),
    );
    let page = Text::new(packed.open(1000).unwrap(), Some(packed), false);
    convert(page, &identity(), &treatment(), NOW, report, &mut seen).unwrap();
    assert!(seen.text.bytes.is_empty());
    let (rendered, _) = scrape("# TYPE a gauge\na 1\n", false, &treatment(), &mut seen).unwrap();
    assert!(
        rendered.ends_with("b: gauge {prometheus.type=unknown} [] \n  {zone=z} None ENDED(1)"),
        "{rendered}"
    );
}

#[test]
fn a_series_that_is_there_twice_counts_once() {
    let page = "# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 2\na{b=\"2\"} 3\n";
    let (rendered, outcome) = scrape(page, false, &treatment(), &mut Seen::default()).unwrap();
    assert_eq!((outcome.scraped, outcome.duplicates), (3, 1));
    assert!(!rendered.contains("= 2"), "{rendered}");
}

#[test]
fn pages_that_cannot_be_used() {
    let limited = |change: fn(&mut Treatment)| {
        let mut treatment = treatment();
        change(&mut treatment);
        treatment
    };
    for (page, open_metrics, treatment, expected) in [
        (
            "a 1\n",
            true,
            treatment(),
            "the page does not end with # EOF, so it may be cut off",
        ),
        (
            "a{ 1\n",
            false,
            treatment(),
            "line 1: expected a label's name",
        ),
        (
            "a 1\nb 2\n",
            false,
            limited(|t| t.sample_limit = 1),
            "sample_limit: more than 1 samples",
        ),
        (
            "a{b=\"c\"} 1\n",
            false,
            limited(|t| t.label_limit = 3),
            "label_limit: a series of a has 4 labels, more than 3",
        ),
        (
            "a{b=\"cde\"} 1\n",
            false,
            limited(|t| t.label_value_length_limit = 3),
            "",
        ),
        (
            "a{b=\"cdef\"} 1\n",
            false,
            limited(|t| t.label_value_length_limit = 3),
            "label_value_length_limit: the label b of a series of a is longer than 3 bytes",
        ),
        (
            "a{bcdefghij=\"c\"} 1\n",
            false,
            limited(|t| t.label_name_length_limit = 8),
            "label_name_length_limit: the label bcdefghij of a series of a is longer than 8 bytes",
        ),
    ] {
        let outcome = scrape(page, open_metrics, &treatment, &mut Seen::default());
        let said = outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert_eq!(said, expected, "{page}");
    }
    let bytes = Text::new(Bytes::from_static(b"a 1\n\xff"), None, false);
    let error = convert(
        bytes,
        &identity(),
        &treatment(),
        NOW,
        report,
        &mut Seen::default(),
    )
    .unwrap_err();
    assert_eq!(error, PageError::NotUtf8(4));
}

proptest::proptest! {
    #[test]
    fn no_page_makes_it_panic_and_every_metric_is_valid(
        lines in proptest::collection::vec("(# (HELP|TYPE|UNIT) [ab]{1,2}(_total|_bucket|_sum)? (counter|histogram|summary|gauge|info|x)|[ab]{1,2}(_bucket|_sum|_count|_total|_created|)(\\{(le|quantile|job|otel_scope_name|c)=\"(1|\\+Inf|x|)\"\\})? (1|-1|NaN|1e300|\\+Inf|x)( [0-9]{1,20})?|\\PC{0,20})", 0..20),
        open_metrics: bool,
    ) {
        let page = lines.join("\n") + "\n# EOF\n";
        let mut seen = Seen::default();
        let treatment = rules("[{source_labels: [__name__], regex: 'b_(sum|bucket)', target_label: __name__, replacement: 'c_$1'}]");
        if let Ok((metrics, outcome)) = convert(text(&page, open_metrics), &identity(), &treatment, NOW, report, &mut seen) {
            corten_pdata::validate::validate(corten_pdata::Signal::Metrics, &metrics.to_bytes()).unwrap();
            proptest::prop_assert!(outcome.kept <= outcome.scraped);
            // The same page again: nothing is new or gone, but what says its own time.
            let (again, repeated) = convert(text(&page, open_metrics), &identity(), &treatment, NOW, report, &mut seen).unwrap();
            proptest::prop_assert_eq!(again.items(), metrics.items());
            proptest::prop_assert!(repeated.added <= outcome.added);
            // And nothing at all: everything that was there and said no time of its own is ended.
            let (last, _) = convert(text("# EOF\n", true), &identity(), &treatment, NOW, report, &mut seen).unwrap();
            proptest::prop_assert!(last.items() <= metrics.items());
        }
    }
}
