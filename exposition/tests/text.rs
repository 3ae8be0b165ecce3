//! What is written is read back, and no text makes the parser panic.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use corten_exposition::text::{Line, parse};
use proptest::prelude::*;

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

proptest! {
    #[test]
    fn samples_come_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,10}",
        labels in proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,5}", ".{0,8}", 0..4),
        value in any::<f64>(),
        time in proptest::option::of(any::<i32>()),
    ) {
        let shown: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let time_shown = time.map(|time| format!(" {time}")).unwrap_or_default();
        let line = format!("{name}{{{}}} {value}{time_shown}\n", shown.join(","));
        let Some(Ok(Line::Sample(sample))) = parse(&line).next() else {
            return Err(TestCaseError::fail(line));
        };
        prop_assert_eq!(sample.name.as_ref(), name.as_str());
        prop_assert_eq!(sample.value.to_bits(), if value.is_nan() { sample.value.to_bits() } else { value.to_bits() });
        prop_assert_eq!(sample.timestamp, time.map(f64::from));
        let seen: std::collections::BTreeMap<String, String> = sample.labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(seen, labels);
    }

    #[test]
    fn descriptions_come_back(help in "[^\r\t ]([^\r]{0,20}[^\r])?") {
        let line = format!("# HELP a {}\n", help.replace('\\', "\\\\").replace('\n', "\\n"));
        let Some(Ok(Line::Help { help: seen, .. })) = parse(&line).next() else {
            return Err(TestCaseError::fail(line));
        };
        // A quote needs no escape here, and one that has it is read all the same.
        prop_assert_eq!(seen.into_owned(), help);
    }

    #[test]
    fn nothing_panics(pieces in proptest::collection::vec(prop_oneof![
        Just("# HELP ".to_owned()), Just("# TYPE a ".to_owned()), Just("\"".to_owned()), Just("{".to_owned()),
        Just("}".to_owned()), Just("\\".to_owned()), Just(" # {".to_owned()), Just("=".to_owned()), Just(",".to_owned()),
        Just("\n".to_owned()), ".{0,3}",
    ], 0..40)) {
        let text = pieces.concat();
        prop_assert!(parse(&text).count() <= text.split('\n').count());
    }
}
