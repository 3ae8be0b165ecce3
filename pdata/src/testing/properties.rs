//! The properties themselves. Each panics if it does not hold.

use bytes::Bytes;
use prost::Message as _;

use super::reference::{Telemetry, apply, edits, ops};
use super::{Entropy, generate, inject_unknown};
use crate::edit::{self, edit_record_attributes, edit_resource_attributes, edit_scope_attributes};
use crate::model::resource::Resource;
use crate::rope::{Rope, Segment};
use crate::schema::{self, Kind, Message};
use crate::signal::{LogsSignal, MetricsSignal, TracesSignal};
use crate::wire::{Fields, Value};
use crate::{Data, Signal, json, text};

/// Any bytes: what validation lets in, prost decodes to what the cursors show, and everything that
/// reads or edits goes through it; what it refuses, prost refuses too, but for deep nesting.
pub fn check_raw(signal: Signal, bytes: &[u8]) {
    match signal {
        Signal::Logs => raw::<LogsSignal>(bytes),
        Signal::Metrics => raw::<MetricsSignal>(bytes),
        Signal::Traces => raw::<TracesSignal>(bytes),
    }
}

/// A made-up request: it is let in, cursors and prost agree, joining is merging, JSON brings it back.
pub fn check_generated(signal: Signal, entropy: &[u8]) {
    match signal {
        Signal::Logs => generated::<LogsSignal>(entropy),
        Signal::Metrics => generated::<MetricsSignal>(entropy),
        Signal::Traces => generated::<TracesSignal>(entropy),
    }
}

/// A made-up request and edits: the same edits on the model give the same.
pub fn check_edits(signal: Signal, entropy: &[u8]) {
    match signal {
        Signal::Logs => edited::<LogsSignal>(entropy),
        Signal::Metrics => edited::<MetricsSignal>(entropy),
        Signal::Traces => edited::<TracesSignal>(entropy),
    }
}

/// A made-up request cut into pieces: nothing is lost, the order stays, pieces keep to the limit.
pub fn check_split(signal: Signal, entropy: &[u8]) {
    match signal {
        Signal::Logs => split::<LogsSignal>(entropy),
        Signal::Metrics => split::<MetricsSignal>(entropy),
        Signal::Traces => split::<TracesSignal>(entropy),
    }
}

/// Any text: reading it as JSON fails with a place in it, or what comes out round-trips.
pub fn check_json_input(signal: Signal, text: &[u8]) {
    match Data::from_json(signal, text) {
        Err(error) => assert!(error.line >= 1 && error.column >= 1),
        Ok(data) => {
            let first = to_json(&data);
            let again = Data::from_json(signal, &first).expect("own output is read");
            assert_eq!(data.items(), again.items());
            assert_eq!(text_of(&first), text_of(&to_json(&again)));
        }
    }
}

fn text_of(json: &[u8]) -> &str {
    std::str::from_utf8(json).expect("JSON is UTF-8")
}

fn to_json(data: &Data) -> Vec<u8> {
    let mut out = Vec::new();
    data.to_json(&mut out).expect("a vector takes everything");
    out
}

fn same<M: prost::Message + std::fmt::Debug>(left: &M, right: &M, what: &str) {
    // By encoding, since NaN is not equal to itself.
    assert!(
        left.encode_to_vec() == right.encode_to_vec(),
        "{what}:\n{left:#?}\n{right:#?}"
    );
}

fn valid<S: Telemetry>(rope: &Rope<S>) {
    for segment in rope.segments() {
        let again = Segment::validate(S::SIGNAL, segment.bytes().clone()).expect("valid");
        assert_eq!(again.items(), segment.items(), "items");
        assert_eq!(again.bytes(), segment.bytes(), "nothing left to merge");
    }
}

fn raw<S: Telemetry>(bytes: &[u8]) {
    let prost = S::Model::decode(bytes);
    match Rope::<S>::parse(Bytes::copy_from_slice(bytes)) {
        Err(malformed) => {
            assert!(malformed.offset <= bytes.len());
            if prost.is_ok() {
                assert_eq!(malformed.what, "messages nest too deeply");
            }
        }
        Ok(rope) => {
            let model = prost.expect("prost decodes what validation lets in");
            agrees(&rope, &model);
            let mut entropy = Entropy::new(bytes);
            let ops = ops(&mut entropy);
            edits_agree(&rope, &ops, entropy.one_in(2));
            pieces_agree(&rope, &mut entropy);
        }
    }
}

/// Cursors, count, text and JSON on what has been let in.
fn agrees<S: Telemetry>(rope: &Rope<S>, model: &S::Model) {
    valid(rope);
    same(
        &rope.decode().expect("decodes"),
        model,
        "merged as prost merges",
    );
    same(&S::view(rope), model, "cursors against prost");
    assert_eq!(S::items(model).len(), rope.items(), "items");
    let data = Data::from_segments(S::SIGNAL, rope.segments().to_vec());
    let mut page = String::new();
    text::write_detailed(&data, &mut page);
    let json = to_json(&data);
    let again: Rope<S> = json::from_json(&json).expect("own output is read");
    assert_eq!(again.items(), rope.items());
    let data = Data::from_segments(S::SIGNAL, again.segments().to_vec());
    assert_eq!(text_of(&json), text_of(&to_json(&data)));
}

fn generated<S: Telemetry>(entropy: &[u8]) {
    let mut entropy = Entropy::new(entropy);
    let mut rope = Rope::<S>::new();
    let mut joined = Vec::new();
    for _ in 0..=entropy.below(3) {
        let bytes = generate(S::SIGNAL, &mut entropy);
        joined.extend_from_slice(&bytes);
        rope.append(Rope::parse(bytes.into()).expect("made up well"));
    }
    let model = S::Model::decode(joined.as_slice()).expect("made up well");
    agrees(&rope, &model);
    let whole = Rope::<S>::parse(joined.into()).expect("made up well");
    agrees(&whole, &model);
    assert_eq!(whole.items(), rope.items());
    let json = to_json(&Data::from_segments(S::SIGNAL, rope.segments().to_vec()));
    let again: Rope<S> = json::from_json(&json).expect("own output is read");
    same(&again.decode().expect("decodes"), &model, "through JSON");
    same(
        &Rope::<S>::from_model(&model)
            .map(|rope| rope.decode())
            .expect("valid")
            .expect("decodes"),
        &model,
        "through the model",
    );
}

fn edited<S: Telemetry>(entropy: &[u8]) {
    let mut entropy = Entropy::new(entropy);
    let ops = ops(&mut entropy);
    let odd = entropy.one_in(2);
    let mut rope = Rope::<S>::new();
    for _ in 0..=entropy.below(2) {
        let bytes = generate(S::SIGNAL, &mut entropy);
        rope.append(Rope::parse(bytes.into()).expect("made up well"));
    }
    edits_agree(&rope, &ops, odd);
    unknown_survive(&rope);
}

/// Attributes without a value message are those with an empty one: edits may turn the one into the
/// other.
fn canonical<S: Telemetry>(mut model: S::Model) -> S::Model {
    let fill = |attributes: &mut Vec<crate::model::common::KeyValue>| {
        for attribute in attributes {
            attribute.value.get_or_insert_default();
        }
    };
    S::each(
        &mut model,
        |resource| {
            if let Some(resource) = resource {
                fill(&mut resource.attributes);
            }
        },
        |scope| {
            if let Some(scope) = scope {
                fill(&mut scope.attributes);
            }
        },
        fill,
    );
    model
}

fn edits_agree<S: Telemetry>(rope: &Rope<S>, ops: &[super::reference::Op], odd: bool) {
    let before = rope.decode().expect("decodes");
    let edits = edits(ops);
    let check = |edited: &Rope<S>, model: S::Model, what: &str| {
        valid(edited);
        same(
            &canonical::<S>(edited.decode().expect("decodes")),
            &canonical::<S>(model),
            &format!("{what}: {ops:?}"),
        );
    };

    let mut model = before.clone();
    S::each(
        &mut model,
        |resource| {
            let mut edited = resource.clone().unwrap_or_default();
            apply(ops, &mut edited.attributes);
            if resource.is_some() || edited != Resource::default() {
                *resource = Some(edited);
            }
        },
        |_| {},
        |_| {},
    );
    check(&edit_resource_attributes(rope, &edits), model, "resources");

    let mut model = before.clone();
    S::each(
        &mut model,
        |_| {},
        |scope| {
            let mut edited = scope.clone().unwrap_or_default();
            apply(ops, &mut edited.attributes);
            if scope.is_some() || !edited.attributes.is_empty() {
                *scope = Some(edited);
            }
        },
        |_| {},
    );
    check(&edit_scope_attributes(rope, &edits), model, "scopes");

    let wanted = |attributes: usize| (attributes % 2 == 1) == odd;
    let mut model = before.clone();
    S::each(
        &mut model,
        |_| {},
        |_| {},
        |attributes| {
            if wanted(attributes.len()) {
                apply(ops, attributes);
            }
        },
    );
    let edited = edit_record_attributes(rope, &edits, |record| wanted(record.attributes().count()));
    check(&edited, model, "records");

    let mut model = before;
    S::retain(&mut model, |attributes| wanted(attributes.len()));
    let kept = edit::retain(rope, |record| wanted(record.attributes().count()));
    check(&kept, model, "retain");
}

/// The fields of a request that the schema does not know, in order, with all that is below.
#[must_use]
pub fn unknown_fields(signal: Signal, bytes: &[u8]) -> Vec<Vec<u8>> {
    fn collect(message: &'static Message, raw: &[u8], found: &mut Vec<Vec<u8>>) {
        for field in Fields::new(raw) {
            match (
                message.field(field.number).map(|known| known.kind),
                field.value,
            ) {
                (None, _) => found.push(field.raw.to_vec()),
                (Some(Kind::Message(nested)), Value::Bytes(payload)) => {
                    collect(nested, payload, found);
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    collect(schema::request(signal), bytes, &mut found);
    found
}

/// With an unknown field in every message, edits that only add, and filters that keep all but one,
/// lose none but those that were in what is gone.
fn unknown_survive<S: Telemetry>(rope: &Rope<S>) {
    let mut bytes = Vec::new();
    let mut next = 1000;
    inject_unknown(
        schema::request(S::SIGNAL),
        &rope.to_bytes(),
        &mut next,
        &mut bytes,
    );
    let rope = Rope::<S>::parse(bytes.into()).expect("still valid");
    let before = unknown_fields(S::SIGNAL, &rope.to_bytes());
    let edits = edit::AttributeEdits::new().upsert("not.there.yet", "value");
    let edited = edit_resource_attributes(&rope, &edits);
    let edited = edit_scope_attributes(&edited, &edits);
    let edited = edit_record_attributes(&edited, &edits, |_| true);
    assert_eq!(unknown_fields(S::SIGNAL, &edited.to_bytes()), before);
    let mut index = 0;
    let kept = edit::retain(&rope, |_| {
        index += 1;
        index != 1
    });
    assert_eq!(kept.items(), rope.items().saturating_sub(1));
    let after = unknown_fields(S::SIGNAL, &kept.to_bytes());
    let mut rest = before.iter();
    assert!(
        after.iter().all(|field| rest.any(|before| before == field)),
        "unknown fields stay in order"
    );
    if rope.is_empty() {
        assert_eq!(after, before);
    }
}

fn split<S: Telemetry>(entropy: &[u8]) {
    let mut entropy = Entropy::new(entropy);
    let mut choices = Entropy::new(entropy.rest());
    let mut rope = Rope::<S>::new();
    for _ in 0..=entropy.below(3) {
        let bytes = generate(S::SIGNAL, &mut entropy);
        rope.append(Rope::parse(bytes.into()).expect("made up well"));
    }
    pieces_agree(&rope, &mut choices);
}

fn pieces_agree<S: Telemetry>(rope: &Rope<S>, choices: &mut Entropy<'_>) {
    let all = S::items(&rope.decode().expect("decodes"));
    let check = |pieces: &[Rope<S>]| {
        let mut found = Vec::new();
        for piece in pieces {
            valid(piece);
            found.extend(S::items(&piece.decode().expect("decodes")));
        }
        assert!(found == all, "pieces hold the same items in the same order");
    };

    let max = 1 + choices.below(12);
    let pieces = rope.clone().split_items(max);
    check(&pieces);
    let (last, full) = pieces.split_last().expect("at least one piece");
    assert!(full.iter().all(|piece| piece.items() == max), "full pieces");
    assert!(last.items() <= max);

    let max = choices.below(256) * 4;
    let pieces = rope.clone().split_bytes(max);
    check(&pieces);
    for piece in &pieces {
        let alone = piece.items() <= 1;
        assert!(
            piece.bytes_len() <= max || alone,
            "{} > {max}",
            piece.bytes_len()
        );
    }

    let parts = 1 + choices.below(4);
    let mut index = 0;
    let dealt = edit::partition(rope, parts, |_| {
        index += 1;
        (index - 1) % parts
    });
    assert_eq!(dealt.len(), parts);
    for (part, piece) in dealt.iter().enumerate() {
        valid(piece);
        if S::SIGNAL != Signal::Metrics {
            let expected = all.iter().skip(part).step_by(parts);
            let found = S::items(&piece.decode().expect("decodes"));
            assert!(found.iter().eq(expected), "every record in its place");
        }
    }
    let items: usize = dealt.iter().map(Rope::items).sum();
    assert_eq!(items, rope.items(), "none lost, none invented");

    let count = choices.below(12);
    let mut rest = rope.clone();
    let taken = rest.take_items(count);
    assert_eq!(taken.items(), count.min(rope.items()));
    check(&[taken, rest]);
}
