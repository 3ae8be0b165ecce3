//! What Loki's answer to a push means.
//!
//! Loki validates entry by entry: it stores the good ones, drops the bad ones and *then* answers 400 with
//! texts that say what it dropped. So a 400 is an answer to take as it is, never to repeat, and the lines
//! that were dropped are counted from its text. The texts are those of Loki 2.9 to 3.7 (`pkg/validation`,
//! the ingester's stream, and the distributor, which groups equal ones as `3 errors like: …`).

use crate::labels::LabelSet;

/// Why Loki dropped lines, named as in its own `loki_discarded_samples_total{reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Reason(pub(crate) &'static str);

impl Reason {
    pub(crate) const UNKNOWN: Self = Self("unknown");
    pub(crate) const BLOCKED: Self = Self("blocked_ingestion");
    pub(crate) const TOO_LARGE: Self = Self("request_body_too_large");

    /// The reason that a text of Loki's states.
    fn of(text: &str) -> Self {
        // Matched from the front, most specific first.
        const TEXTS: &[(&str, &str)] = &[
            ("entry too far behind", "too_far_behind"),
            ("entry out of order", "out_of_order"),
            ("has timestamp too old", "greater_than_max_sample_age"),
            ("has timestamp too new", "too_far_in_future"),
            ("max entry size", "line_too_long"),
            ("per stream rate limit exceeded", "per_stream_rate_limit"),
            ("maximum active stream limit exceeded", "stream_limit"),
            ("ingestion rate limit exceeded", "rate_limited"),
            ("label names; limit", "max_label_names_per_series"),
            ("has label name too long", "label_name_too_long"),
            ("has label value too long", "label_value_too_long"),
            ("has duplicate label name", "duplicate_label_names"),
            (
                "structured metadata too large",
                "structured_metadata_too_large",
            ),
            (
                "too many structured metadata labels",
                "structured_metadata_too_many",
            ),
            (
                "includes structured metadata, but this feature is disallowed",
                "disallowed_structured_metadata",
            ),
            ("ingestion blocked for", "blocked_ingestion"),
            ("missing required labels", "missing_enforced_labels"),
            ("at least one label pair is required", "missing_labels"),
            ("error parsing labels", "invalid_labels"),
        ];
        let text = text.to_ascii_lowercase();
        TEXTS
            .iter()
            .find(|(part, _)| text.contains(part))
            .map_or(Self::UNKNOWN, |(_, name)| Self(name))
    }

    /// Whether one text of this reason speaks of all lines of its stream.
    fn is_of_a_stream(self) -> bool {
        matches!(
            self.0,
            "invalid_labels"
                | "missing_labels"
                | "missing_enforced_labels"
                | "max_label_names_per_series"
                | "label_name_too_long"
                | "label_value_too_long"
                | "duplicate_label_names"
        )
    }
}

/// What to do after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it is stored.
    Stored,
    /// Done with: the rest is stored, these lines are dropped for good.
    Partly(Vec<(Reason, usize)>),
    /// Send the same bytes again later.
    Again,
    /// Send the same bytes again later; these of the request's streams (by their place in it) are the cause,
    /// the others need not wait for them.
    AgainBecauseOf(Vec<usize>),
    /// Too large as it is: send it in two halves.
    Split(Reason),
}

/// One stream of the request that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    /// Its label set as it was written.
    pub(crate) labels: &'a LabelSet,
    /// How many lines.
    pub(crate) lines: usize,
}

/// Reads an answer. `body` may be cut off.
pub(crate) fn read(status: u16, body: &str, sent: &[Sent<'_>]) -> Verdict {
    let lines = sent.iter().map(|stream| stream.lines).sum();
    // A gRPC limit between Loki's own parts comes back as a 500 that would never end.
    let lower = body.to_ascii_lowercase();
    if status == 413
        || lower.contains("message larger than max")
        || lower.contains("request body too large")
    {
        return Verdict::Split(Reason::TOO_LARGE);
    }
    match status {
        // Loki may be told to answer 260 (or 200, which nobody can tell from success) while it discards.
        260 => Verdict::Partly(vec![(Reason::BLOCKED, lines)]),
        200..=299 => Verdict::Stored,
        400 | 422 => Verdict::Partly(dropped(body, sent, lines)),
        429 if larger_than_the_rate(body) => Verdict::Split(Reason("rate_limited")),
        429 => match to_blame(body, sent) {
            streams if streams.is_empty() || streams.len() == sent.len() => Verdict::Again,
            streams => Verdict::AgainBecauseOf(streams),
        },
        _ => Verdict::Again,
    }
}

/// The lines that a 400 speaks of, never more than were sent.
fn dropped(body: &str, sent: &[Sent<'_>], lines: usize) -> Vec<(Reason, usize)> {
    let mut found: Vec<(Reason, usize)> = Vec::new();
    let mut left = lines;
    let mut add = |reason: Reason, count: usize| {
        let count = count.min(left);
        left -= count;
        match found.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, known)) => *known += count,
            None => found.push((reason, count)),
        }
    };
    for (times, text) in grouped(body) {
        if let Some(total) = total_ignored(text) {
            let mut listed: Vec<(Reason, usize)> = Vec::new();
            for reason in text.split("reason: '").skip(1).map(Reason::of) {
                match listed.last_mut() {
                    Some((last, count)) if *last == reason => *count += 1,
                    _ => listed.push((reason, 1)),
                }
            }
            // Loki lists ten at most, and says how many there were.
            let counted: usize = listed.iter().map(|(_, count)| count).sum();
            match listed.last_mut() {
                Some((_, count)) => *count += total.saturating_sub(counted),
                None => listed.push((Reason::of(text), total)),
            }
            for (reason, count) in listed {
                add(reason, count.saturating_mul(times));
            }
            continue;
        }
        let reason = Reason::of(text);
        if reason == Reason::UNKNOWN || reason == Reason::BLOCKED {
            // Not a text about an entry: the request as a whole.
            add(reason, lines);
        } else if reason.is_of_a_stream() {
            let of_stream = label_sets(text).find_map(|labels| place(&labels, sent));
            let count = of_stream
                .and_then(|at| sent.get(at))
                .map_or(times, |stream| stream.lines);
            add(reason, count);
        } else {
            add(reason, times);
        }
    }
    found.retain(|(_, count)| *count > 0);
    found
}

/// `2 errors like: a; 1 errors like: b` taken apart; anything else is one text.
fn grouped(body: &str) -> Vec<(usize, &str)> {
    const LIKE: &str = " errors like: ";
    let mut texts: Vec<(usize, &str)> = Vec::new();
    let mut from = 0;
    let mut times = 1;
    for (at, _) in body.match_indices(LIKE) {
        let before = body.get(..at).unwrap_or_default();
        let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let start = at - digits;
        let Some(Ok(number)) = body.get(start..at).map(str::parse) else {
            continue;
        };
        let head = body.get(..start).unwrap_or_default();
        if !head.is_empty() && !head.ends_with("; ") {
            continue;
        }
        if let Some(text) = body.get(from..start.saturating_sub(2))
            && !text.is_empty()
        {
            texts.push((times, text));
        }
        times = number;
        from = at + LIKE.len();
    }
    texts.push((times, body.get(from..).unwrap_or_default().trim_end()));
    texts
}

/// The sum of `total ignored: X out of Y`; `None` when the text has none.
fn total_ignored(text: &str) -> Option<usize> {
    let mut total = None;
    for after in text.split("total ignored: ").skip(1) {
        if let Some(count) = number(after) {
            total = Some(total.unwrap_or(0_usize).saturating_add(count));
        }
    }
    total
}

/// The number that a text begins with.
fn number(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// Whether a tenant's limit can never let this request pass: it is larger than what a second allows. (The
/// burst that counts is not in the text; a request below the rate fits into any burst.)
fn larger_than_the_rate(body: &str) -> bool {
    if Reason::of(body).0 != "rate_limited" {
        return false;
    }
    let after = |mark: &str| body.split_once(mark).and_then(|(_, after)| number(after));
    matches!((after("(limit: "), after("totaling '")), (Some(limit), Some(bytes)) if bytes > limit)
}

/// The streams that a 429 about streams names.
fn to_blame(body: &str, sent: &[Sent<'_>]) -> Vec<usize> {
    if !matches!(Reason::of(body).0, "per_stream_rate_limit" | "stream_limit") {
        return Vec::new();
    }
    let mut places: Vec<usize> = label_sets(body)
        .filter_map(|labels| place(&labels, sent))
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Every label set in a text.
fn label_sets(text: &str) -> impl Iterator<Item = LabelSet> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.get(rest.find('{')?..)?;
            match LabelSet::parse(rest) {
                Some((labels, used)) => {
                    rest = rest.get(used..).unwrap_or_default();
                    return Some(labels);
                }
                None => rest = rest.get(1..)?,
            }
        }
    })
}

/// Which stream of the request has these labels. Loki adds `service_name` when it is missing.
fn place(labels: &LabelSet, sent: &[Sent<'_>]) -> Option<usize> {
    let at = |labels: &LabelSet| sent.iter().position(|stream| stream.labels == labels);
    at(labels).or_else(|| {
        let mut without = labels.clone();
        without.remove("service_name");
        at(&without)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pod: &str) -> LabelSet {
        let mut labels = LabelSet::default();
        labels.set("namespace", "shop");
        labels.set("pod", pod);
        labels
    }

    fn read_with(status: u16, body: &str) -> Verdict {
        let (a, b) = (labels("a"), labels("b"));
        read(
            status,
            body,
            &[
                Sent {
                    labels: &a,
                    lines: 40,
                },
                Sent {
                    labels: &b,
                    lines: 2,
                },
            ],
        )
    }

    fn partly(reasons: &[(&'static str, usize)]) -> Verdict {
        Verdict::Partly(
            reasons
                .iter()
                .map(|(name, count)| (Reason(name), *count))
                .collect(),
        )
    }

    #[test]
    fn success_is_success() {
        for status in [200, 204] {
            assert_eq!(read_with(status, ""), Verdict::Stored);
        }
        assert_eq!(
            read_with(
                260,
                "ingestion blocked for user a until 'x' with status code '260'"
            ),
            partly(&[("blocked_ingestion", 42)])
        );
    }

    #[test]
    fn the_ingesters_text_is_counted_by_its_total() {
        let entry = "entry with timestamp 2026-01-02 13:25:44 +0000 UTC ignored, reason: 'entry too far behind, \
                     entry timestamp is: 2026-01-02T13:25:44Z, oldest acceptable timestamp is: 2026-01-02T23:10:16Z',\n";
        let body = format!(
            "{}user 'fake', total ignored: 17 out of 40 for stream: {{namespace=\"shop\", pod=\"a\"}}\n",
            entry.repeat(10)
        );
        assert_eq!(read_with(400, &body), partly(&[("too_far_behind", 17)]));
        // The form of older versions, and two reasons in one stream.
        let body = "entry with timestamp T ignored, reason: 'entry out of order' for stream: {a=\"b\"},\n\
                    entry with timestamp T ignored, reason: 'entry too far behind, …' for stream: {a=\"b\"},\ntotal ignored: 5 out of 9";
        assert_eq!(
            read_with(400, body),
            partly(&[("out_of_order", 1), ("too_far_behind", 4)])
        );
    }

    #[test]
    fn the_distributors_grouped_texts_are_counted_one_by_one() {
        let body = "3 errors like: entry for stream '{namespace=\"shop\", pod=\"a\", service_name=\"a\"}' has timestamp too old: \
                    2026-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-02-01T00:00:00Z; \
                    1 errors like: max entry size '262144' bytes exceeded for stream '{namespace=\"shop\", pod=\"b\"}' while adding an entry with length '300000' bytes\n";
        assert_eq!(
            read_with(400, body),
            partly(&[("greater_than_max_sample_age", 3), ("line_too_long", 1)])
        );
        let body = "entry for stream '{namespace=\"shop\", pod=\"a\"}' has timestamp too new: 2126-01-01T00:00:00Z";
        assert_eq!(read_with(400, body), partly(&[("too_far_in_future", 1)]));
    }

    #[test]
    fn a_text_about_a_stream_speaks_of_all_its_lines() {
        let body = "stream '{namespace=\"shop\", pod=\"b\"}' has label value too long: 'xxxx'";
        assert_eq!(read_with(400, body), partly(&[("label_value_too_long", 2)]));
        let body = "entry for stream '{namespace=\"shop\", pod=\"a\", service_name=\"unknown_service\"}' has 16 label names; limit 15";
        assert_eq!(
            read_with(400, body),
            partly(&[("max_label_names_per_series", 40)])
        );
        // A stream that is not ours: at least the one line.
        let body = "stream '{other=\"x\"}' has label name too long: 'y'";
        assert_eq!(read_with(400, body), partly(&[("label_name_too_long", 1)]));
    }

    #[test]
    fn what_nobody_knows_is_about_the_whole_request() {
        assert_eq!(
            read_with(400, "proto: illegal wireType 7"),
            partly(&[("unknown", 42)])
        );
        assert_eq!(
            read_with(
                422,
                "error at least one valid stream is required for ingestion"
            ),
            partly(&[("unknown", 42)])
        );
    }

    #[test]
    fn a_count_is_never_larger_than_what_was_sent() {
        assert_eq!(
            read_with(400, "99999999999 errors like: max entry size"),
            partly(&[("line_too_long", 42)])
        );
    }

    #[test]
    fn limits_of_streams_name_those_streams() {
        let body = "entry with timestamp T ignored, reason: 'Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest \
                    for stream '{namespace=\"shop\", pod=\"b\", service_name=\"b\"}' totaling 4MB, consider splitting a stream via additional \
                    labels or contact your Loki administrator to see if the limit can be increased',\n\
                    user 'fake', total ignored: 2 out of 2 for stream: {namespace=\"shop\", pod=\"b\", service_name=\"b\"}";
        assert_eq!(read_with(429, body), Verdict::AgainBecauseOf(vec![1]));
        let body = "Maximum active stream limit exceeded when trying to create stream {namespace=\"shop\", pod=\"a\"}, reduce the number of active streams";
        assert_eq!(read_with(429, body), Verdict::AgainBecauseOf(vec![0]));
    }

    #[test]
    fn a_tenants_limit_is_waited_for_unless_it_can_never_be_met() {
        let body = |bytes: usize| {
            format!(
                "ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '42' lines totaling '{bytes}' bytes, reduce log volume"
            )
        };
        assert_eq!(read_with(429, &body(1000)), Verdict::Again);
        assert_eq!(
            read_with(429, &body(5_000_000)),
            Verdict::Split(Reason("rate_limited"))
        );
    }

    #[test]
    fn too_large_is_split_whoever_says_it() {
        assert_eq!(read_with(413, ""), Verdict::Split(Reason::TOO_LARGE));
        let body = "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5000000 vs. 4194304)";
        assert_eq!(read_with(500, body), Verdict::Split(Reason::TOO_LARGE));
    }

    #[test]
    fn everything_else_is_sent_again() {
        for status in [401, 403, 404, 408, 429, 500, 502, 503, 504, 302] {
            assert_eq!(read_with(status, "some text"), Verdict::Again, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_counts_too_much(status in 200..600_u16, parts in prop::collection::vec(prop_oneof![
            Just("3 errors like: ".to_owned()), Just("; ".to_owned()), Just("total ignored: 9 out of 9".to_owned()), Just("{pod=\"a\"".to_owned()),
            Just("reason: '".to_owned()), Just("max entry size".to_owned()), Just("label names; limit".to_owned()), ".*",
        ], 0..12)) {
            if let Verdict::Partly(reasons) = read_with(status, &parts.concat()) {
                prop_assert!(reasons.iter().map(|(_, count)| count).sum::<usize>() <= 42);
            }
        }
    }
}
