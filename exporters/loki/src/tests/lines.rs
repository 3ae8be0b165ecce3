//! Lines of files take a way of their own through the encoder: what comes out is the same.

use corten_pdata::Logs;
use corten_pdata::build::{LineAttributes, LogsBuilder};
use proptest::prelude::*;
use prost::Message;

use super::config;
use super::fake::PushRequest;
use crate::job::Job;
use crate::mapping::Mapping;
use crate::request::Workshop;
use crate::sender::sort;
use crate::streams::Streams;

/// The push bodies that a workshop makes of logs, one after the other.
fn pushed(workshop: &mut Workshop, mapping: &Mapping, logs: &Logs) -> PushRequest {
    let (job, _end) = Job::new(logs.items(), true);
    let now = tokio::time::Instant::now();
    let mut streams = Streams::default();
    for (key, labels, run) in sort(logs.segments(), mapping, &job).runs {
        streams.push(&key, &labels, run, now);
    }
    let taken = streams.take(usize::MAX).unwrap();
    let (request, left_out) = workshop.make(taken, mapping, usize::MAX).unwrap();
    assert!(left_out.is_empty());
    let body = snap::raw::Decoder::new().decompress_vec(&request.body);
    PushRequest::decode(&body.unwrap()[..]).unwrap()
}

#[derive(Clone, Debug)]
struct Line {
    pod: u8,
    time: u64,
    observed: u64,
    text: String,
    common: u8,
}

fn line() -> impl Strategy<Value = Line> {
    let text = prop_oneof![4 => "[a-z ü]{0,40}", 1 => Just("x".repeat(200)), 1 => Just("y".repeat(20_000))];
    (0..3_u8, 0..3_u64, 1..3_u64, text, 0..4_u8).prop_map(|(pod, time, observed, text, common)| {
        Line {
            pod,
            time: time * 1_000_000_007,
            observed: observed * 999_999_937,
            text,
            common,
        }
    })
}

proptest! {
    #[test]
    fn lines_are_the_records_with_their_fields(lines in prop::collection::vec(line(), 1..40), metadata in any::<bool>()) {
        let mapping = Mapping::new(&config(&format!("structured_metadata: {{enabled: {metadata}}}")));
        let mut workshop = Workshop::default();
        // The second time, everything is remembered.
        for _ in 0..2 {
            let (mut fast, mut slow) = (LogsBuilder::new(), LogsBuilder::new());
            let mut pod = None;
            for line in &lines {
                if pod != Some(line.pod) {
                    pod = Some(line.pod);
                    for builder in [&mut fast, &mut slow] {
                        builder.resource(|resource| {
                            resource.attribute_str("k8s.pod.name", &format!("pod-{}", line.pod));
                            resource.attribute_int("extra", i64::from(line.pod));
                        });
                    }
                }
                let attributes: Vec<(String, String)> = (0..line.common).map(|n| (format!("a{n}"), "v".repeat(usize::from(line.common)))).collect();
                let common = LineAttributes::new(|out| {
                    for (key, value) in &attributes {
                        out.attribute_str(key, value);
                    }
                });
                fast.line(line.time, line.observed, &line.text, &common);
                slow.record(|record| {
                    // In another order, which no fast way knows.
                    for (key, value) in &attributes {
                        record.attribute_str(key, value);
                    }
                    record.body_str(&line.text).observed_time(line.observed).time(line.time);
                });
            }
            let fast = pushed(&mut workshop, &mapping, &fast.finish());
            let slow = pushed(&mut Workshop::default(), &mapping, &slow.finish());
            prop_assert_eq!(fast, slow);
        }
    }
}
