use std::collections::HashMap;

use corten_component::{Batch, Signal};
use corten_pdata::testing::{Entropy, generate};
use corten_pdata::traces::Span;
use corten_pdata::{Cursor as _, Data};
use proptest::prelude::*;

use super::*;

fn layout(yaml: &str) -> Layout {
    let config: Config = corten_config::from_str(yaml).unwrap();
    Layout::new(&config).unwrap()
}

fn read(encoding: &str, signal: Signal, message: &Message) -> Data {
    match encoding {
        "otlp_json" => Data::from_json(signal, &message.payload).unwrap(),
        _ => Data::parse(signal, message.payload.clone()).unwrap(),
    }
}

fn json(signal: Signal, text: &str) -> Data {
    Data::from_json(signal, text.as_bytes()).unwrap()
}

#[test]
fn the_same_attributes_have_the_same_key_in_any_order() {
    let layout = layout("partition_logs_by_resource_attributes: true");
    let keys = |attributes: &[(&str, &str)]| {
        let attributes: Vec<String> = attributes
            .iter()
            .map(|(key, value)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#))
            .collect();
        let text = format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{}]}},"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"x"}}}}]}}]}}]}}"#,
            attributes.join(",")
        );
        let bundles = layout
            .bundles(&Batch::new(json(Signal::Logs, &text)))
            .unwrap();
        bundles[0].messages[0].key.clone().unwrap()
    };
    let one = keys(&[("a", "1"), ("b", "2")]);
    assert_eq!(one.len(), 16);
    assert_eq!(one, keys(&[("b", "2"), ("a", "1")]));
    assert_ne!(one, keys(&[("a", "2"), ("b", "1")]));
    assert_ne!(one, keys(&[("a", "1b"), ("", "2")]));
}

#[test]
fn what_has_no_trace_has_no_key() {
    let layout = layout("partition_logs_by_trace_id: true");
    let text = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
        {"body":{"stringValue":"a"}},
        {"body":{"stringValue":"b"},"traceId":"00000000000000000000000000000000"},
        {"body":{"stringValue":"c"},"traceId":"0a000000000000000000000000000001"}]}]}]}"#;
    let bundles = layout
        .bundles(&Batch::new(json(Signal::Logs, text)))
        .unwrap();
    let found: HashMap<Option<&[u8]>, usize> = bundles[0]
        .messages
        .iter()
        .map(|message| (message.key.as_deref(), message.items))
        .collect();
    let traced: &[u8] = b"0a000000000000000000000000000001";
    assert_eq!(found, HashMap::from([(None, 2), (Some(traced), 1)]));
}

#[test]
fn nothing_makes_no_message() {
    for encoding in ["otlp_proto", "otlp_json", "raw"] {
        let layout = layout(&format!("encoding: {encoding}"));
        let batch = Batch::new(Data::empty(Signal::Logs));
        assert!(layout.bundles(&batch).unwrap().is_empty(), "{encoding}");
    }
}

proptest! {
    /// Every record is in one message, no message is too large unless a single record is, and what a bundle says of
    /// itself is true.
    #[test]
    fn every_record_is_in_one_message(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        signal in prop::sample::select(Signal::ALL.to_vec()),
        encoding in prop::sample::select(vec!["otlp_proto", "otlp_json"]),
        keys in any::<bool>(),
        limit in 1000_usize..4000,
    ) {
        let layout = layout(&format!(
            "{{encoding: {encoding}, producer: {{max_message_bytes: {limit}}}, partition_traces_by_id: {keys}, \
             partition_logs_by_trace_id: {keys}, partition_metrics_by_resource_attributes: {keys}, \
             topic_from_attribute: service.name}}"
        ));
        let request = generate(signal, &mut Entropy::new(&bytes));
        let data = Data::parse(signal, request.into()).unwrap();
        let bundles = layout.bundles(&Batch::new(data.clone())).unwrap();
        let mut items = 0;
        for bundle in &bundles {
            let told: usize = bundle.messages.iter().map(|message| message.items).sum();
            prop_assert_eq!(told, bundle.data.items());
            items += told;
            for message in &bundle.messages {
                let data = read(encoding, signal, message);
                prop_assert_eq!(data.items(), message.items);
                let size = message.payload.len() + message.key.as_ref().map_or(0, |key| key.len());
                prop_assert!(size + OVERHEAD <= limit || (bundle.messages.len() == 1 && message.items <= 1), "{size}");
                if keys && let Data::Traces(traces) = &data {
                    drop(partition(traces, 1, |span| {
                        let id = Span::new(span.raw).trace_id();
                        let key = id.iter().any(|byte| *byte != 0).then(|| hex::encode(id).into_bytes());
                        assert_eq!(key.as_deref(), message.key.as_deref());
                        0
                    }));
                }
            }
        }
        prop_assert_eq!(items, data.items());
    }

    /// As bodies, every record is a message of its own.
    #[test]
    fn every_record_is_a_message(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        encoding in prop::sample::select(vec!["raw", "text"]),
    ) {
        let layout = layout(&format!("{{logs: {{encoding: {encoding}}}, producer: {{max_message_bytes: 1000}}}}"));
        let request = generate(Signal::Logs, &mut Entropy::new(&bytes));
        let data = Data::parse(Signal::Logs, request.into()).unwrap();
        let bundles = layout.bundles(&Batch::new(data.clone())).unwrap();
        let messages: usize = bundles.iter().map(|bundle| bundle.messages.len()).sum();
        let items: usize = bundles.iter().map(|bundle| bundle.data.items()).sum();
        prop_assert_eq!((messages, items), (data.items(), data.items()));
    }
}
