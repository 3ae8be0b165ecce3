//! Edits done to the owned model, as plainly as possible.

use std::fmt;

use prost::Message as _;

use super::{Entropy, view};
use crate::attributes::AnyValue;
use crate::build::OwnedValue;
use crate::edit::{AttributeEdits, NewValue};
use crate::model::common::{self, InstrumentationScope, KeyValue, any_value};
use crate::model::metrics::metric;
use crate::model::resource::Resource;
use crate::rope::Rope;
use crate::signal::{LogsSignal, MetricsSignal, SignalKind, TracesSignal};

/// An action on attributes, to be done both ways.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Insert(&'static str, Literal),
    Update(&'static str, Literal),
    Upsert(&'static str, Literal),
    UpsertFrom(&'static str, &'static str),
    InsertFrom(&'static str, &'static str),
    Delete(&'static str),
    DeleteIfInt,
    Shout(&'static str),
    ShoutIfShort,
    Extract(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Literal {
    Text(&'static str),
    Int(i64),
}

impl Literal {
    fn owned(self) -> OwnedValue {
        match self {
            Self::Text(text) => text.into(),
            Self::Int(value) => value.into(),
        }
    }

    fn model(self) -> common::AnyValue {
        common::AnyValue {
            value: Some(match self {
                Self::Text(text) => any_value::Value::StringValue(text.to_owned()),
                Self::Int(value) => any_value::Value::IntValue(value),
            }),
        }
    }
}

const KEYS: [&str; 6] = ["a", "b", "c", "service.name", "new", ""];

const LONG: &str = "a value so long that lengths around it need another byte when it replaces something \
                    short, which is what makes splicing interesting at all, at a hundred and fifty or so";

pub(super) fn ops(entropy: &mut Entropy<'_>) -> Vec<Op> {
    let key = |entropy: &mut Entropy<'_>| entropy.pick(&KEYS).unwrap_or("a");
    let literal = |entropy: &mut Entropy<'_>| {
        entropy
            .pick(&[
                Literal::Text("v"),
                Literal::Text(LONG),
                Literal::Int(-1),
                Literal::Text(""),
            ])
            .unwrap_or(Literal::Int(0))
    };
    (0..=entropy.below(4))
        .map(|_| match entropy.below(10) {
            0 => Op::Insert(key(entropy), literal(entropy)),
            1 => Op::Update(key(entropy), literal(entropy)),
            2 => Op::Upsert(key(entropy), literal(entropy)),
            3 => Op::UpsertFrom(key(entropy), key(entropy)),
            4 => Op::InsertFrom(key(entropy), key(entropy)),
            5 => Op::Delete(key(entropy)),
            6 => Op::DeleteIfInt,
            7 => Op::Shout(key(entropy)),
            8 => Op::ShoutIfShort,
            _ => Op::Extract(key(entropy)),
        })
        .collect()
}

fn shout(value: &AnyValue<'_>) -> Option<OwnedValue> {
    value
        .as_str()
        .map(|text| format!("{}!{LONG}", text.to_uppercase()).into())
}

pub(super) fn edits(ops: &[Op]) -> AttributeEdits {
    ops.iter()
        .fold(AttributeEdits::new(), |edits, op| match *op {
            Op::Insert(key, value) => edits.insert(key, value.owned()),
            Op::Update(key, value) => edits.update(key, value.owned()),
            Op::Upsert(key, value) => edits.upsert(key, value.owned()),
            Op::UpsertFrom(key, from) => {
                edits.upsert(key, NewValue::FromAttribute(from.to_owned()))
            }
            Op::InsertFrom(key, from) => {
                edits.insert(key, NewValue::FromAttribute(from.to_owned()))
            }
            Op::Delete(key) => edits.delete(key),
            Op::DeleteIfInt => edits.delete_if(|_, value| matches!(value, AnyValue::Int(_))),
            Op::Shout(key) => edits.convert(key, shout),
            Op::ShoutIfShort => edits.convert_if(|key, _| key.len() < 3, shout),
            Op::Extract(key) => edits.extract(key, |value, found| {
                if let AnyValue::String(text) = value {
                    found("b", &AnyValue::String(&text.to_lowercase()));
                    found("extracted", &AnyValue::Bool(true));
                }
            }),
        })
}

pub(super) fn apply(ops: &[Op], attributes: &mut Vec<KeyValue>) {
    for op in ops {
        match *op {
            Op::Insert(key, value) => put(attributes, key, Some(value.model()), false, true),
            Op::Update(key, value) => put(attributes, key, Some(value.model()), true, false),
            Op::Upsert(key, value) => put(attributes, key, Some(value.model()), true, true),
            Op::UpsertFrom(key, from) => {
                if let Some(value) = get(attributes, from) {
                    put(attributes, key, value, true, true);
                }
            }
            Op::InsertFrom(key, from) => {
                if let Some(value) = get(attributes, from) {
                    put(attributes, key, value, false, true);
                }
            }
            Op::Delete(key) => attributes.retain(|attribute| attribute.key != key),
            Op::DeleteIfInt => attributes.retain(|attribute| {
                !matches!(inner(attribute), Some(any_value::Value::IntValue(_)))
            }),
            Op::Shout(key) => shout_all(attributes, |attribute| attribute.key == key),
            Op::ShoutIfShort => shout_all(attributes, |attribute| attribute.key.len() < 3),
            Op::Extract(key) => {
                let Some(Some(common::AnyValue {
                    value: Some(any_value::Value::StringValue(text)),
                })) = get(attributes, key)
                else {
                    continue;
                };
                let lower = any_value::Value::StringValue(text.to_lowercase());
                let some = |value| Some(common::AnyValue { value: Some(value) });
                put(attributes, "b", some(lower), true, true);
                let yes = any_value::Value::BoolValue(true);
                put(attributes, "extracted", some(yes), true, true);
            }
        }
    }
}

fn inner(attribute: &KeyValue) -> Option<&any_value::Value> {
    attribute.value.as_ref()?.value.as_ref()
}

fn get(attributes: &[KeyValue], key: &str) -> Option<Option<common::AnyValue>> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(found.value.clone())
}

fn put(
    attributes: &mut Vec<KeyValue>,
    key: &str,
    value: Option<common::AnyValue>,
    existing: bool,
    missing: bool,
) {
    let first = attributes.iter().position(|attribute| attribute.key == key);
    match first.and_then(|first| attributes.get_mut(first)) {
        Some(attribute) if existing => {
            attribute.value = value;
            let mut seen = false;
            attributes
                .retain(|attribute| attribute.key != key || !std::mem::replace(&mut seen, true));
        }
        None if missing => attributes.push(KeyValue {
            key: key.to_owned(),
            value,
            key_strindex: 0,
        }),
        _ => {}
    }
}

fn shout_all(attributes: &mut [KeyValue], wanted: impl Fn(&KeyValue) -> bool) {
    for attribute in attributes {
        if wanted(attribute)
            && let Some(common::AnyValue {
                value: Some(any_value::Value::StringValue(text)),
            }) = &mut attribute.value
        {
            *text = format!("{}!{LONG}", text.to_uppercase());
        }
    }
}

/// A signal whose model the properties can walk over.
pub(super) trait Telemetry: SignalKind<Model: Clone + PartialEq + fmt::Debug> {
    /// The model that the cursors show.
    fn view(rope: &Rope<Self>) -> Self::Model;

    /// Visits the resources, the scopes, and the attributes of log records, spans or points.
    fn each(
        model: &mut Self::Model,
        resource: impl FnMut(&mut Option<Resource>),
        scope: impl FnMut(&mut Option<InstrumentationScope>),
        record: impl FnMut(&mut Vec<KeyValue>),
    );

    /// Keeps records by their attributes, and drops what loses its last one.
    fn retain(model: &mut Self::Model, keep: impl FnMut(&[KeyValue]) -> bool);

    /// Every item with what it stands in, encoded: what splitting must not change.
    fn items(model: &Self::Model) -> Vec<Vec<u8>>;
}

/// Retains in `list` what `keep` says; returns whether the list lost its last element.
fn retain_in<T>(list: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let before = list.len();
    list.retain_mut(keep);
    before > 0 && list.is_empty()
}

macro_rules! telemetry {
    ($signal:ty, $view:path, $resources:ident, $scopes:ident, $records:ident) => {
        impl Telemetry for $signal {
            fn view(rope: &Rope<Self>) -> Self::Model {
                $view(rope)
            }

            fn each(
                model: &mut Self::Model,
                mut resource: impl FnMut(&mut Option<Resource>),
                mut scope: impl FnMut(&mut Option<InstrumentationScope>),
                mut record: impl FnMut(&mut Vec<KeyValue>),
            ) {
                for container in &mut model.$resources {
                    resource(&mut container.resource);
                    for container in &mut container.$scopes {
                        scope(&mut container.scope);
                        for item in &mut container.$records {
                            record(&mut item.attributes);
                        }
                    }
                }
            }

            fn retain(model: &mut Self::Model, mut keep: impl FnMut(&[KeyValue]) -> bool) {
                model.$resources.retain_mut(|resource| {
                    !retain_in(&mut resource.$scopes, |scope| {
                        !retain_in(&mut scope.$records, |record| keep(&record.attributes))
                    })
                });
            }

            fn items(model: &Self::Model) -> Vec<Vec<u8>> {
                let mut items = Vec::new();
                for resource in &model.$resources {
                    for scope in &resource.$scopes {
                        for record in &scope.$records {
                            let mut scope = scope.clone();
                            scope.$records = vec![record.clone()];
                            let mut resource = resource.clone();
                            resource.$scopes = vec![scope];
                            items.push(resource.encode_to_vec());
                        }
                    }
                }
                items
            }
        }
    };
}

telemetry!(
    LogsSignal,
    view::logs_model,
    resource_logs,
    scope_logs,
    log_records
);
telemetry!(
    TracesSignal,
    view::traces_model,
    resource_spans,
    scope_spans,
    spans
);

impl Telemetry for MetricsSignal {
    fn view(rope: &Rope<Self>) -> Self::Model {
        view::metrics_model(rope)
    }

    fn each(
        model: &mut Self::Model,
        mut resource: impl FnMut(&mut Option<Resource>),
        mut scope: impl FnMut(&mut Option<InstrumentationScope>),
        mut record: impl FnMut(&mut Vec<KeyValue>),
    ) {
        for container in &mut model.resource_metrics {
            resource(&mut container.resource);
            for container in &mut container.scope_metrics {
                scope(&mut container.scope);
                for item in &mut container.metrics {
                    each_point(&mut item.data, &mut record);
                }
            }
        }
    }

    fn retain(model: &mut Self::Model, mut keep: impl FnMut(&[KeyValue]) -> bool) {
        model.resource_metrics.retain_mut(|resource| {
            !retain_in(&mut resource.scope_metrics, |scope| {
                !retain_in(&mut scope.metrics, |metric| !match &mut metric.data {
                    None => false,
                    Some(metric::Data::Gauge(data)) => {
                        retain_in(&mut data.data_points, |point| keep(&point.attributes))
                    }
                    Some(metric::Data::Sum(data)) => {
                        retain_in(&mut data.data_points, |point| keep(&point.attributes))
                    }
                    Some(metric::Data::Histogram(data)) => {
                        retain_in(&mut data.data_points, |point| keep(&point.attributes))
                    }
                    Some(metric::Data::ExponentialHistogram(data)) => {
                        retain_in(&mut data.data_points, |point| keep(&point.attributes))
                    }
                    Some(metric::Data::Summary(data)) => {
                        retain_in(&mut data.data_points, |point| keep(&point.attributes))
                    }
                })
            })
        });
    }

    fn items(model: &Self::Model) -> Vec<Vec<u8>> {
        let mut items = Vec::new();
        for resource in &model.resource_metrics {
            for scope in &resource.scope_metrics {
                for metric in &scope.metrics {
                    let mut count = 0;
                    each_point(&mut metric.data.clone(), &mut |_| count += 1);
                    for wanted in 0..count {
                        let mut metric = metric.clone();
                        keep_point(&mut metric.data, wanted);
                        let mut scope = scope.clone();
                        scope.metrics = vec![metric];
                        let mut resource = resource.clone();
                        resource.scope_metrics = vec![scope];
                        items.push(resource.encode_to_vec());
                    }
                }
            }
        }
        items
    }
}

fn each_point(data: &mut Option<metric::Data>, visit: &mut impl FnMut(&mut Vec<KeyValue>)) {
    match data {
        None => {}
        Some(metric::Data::Gauge(data)) => {
            data.data_points
                .iter_mut()
                .for_each(|p| visit(&mut p.attributes));
        }
        Some(metric::Data::Sum(data)) => {
            data.data_points
                .iter_mut()
                .for_each(|p| visit(&mut p.attributes));
        }
        Some(metric::Data::Histogram(data)) => {
            data.data_points
                .iter_mut()
                .for_each(|p| visit(&mut p.attributes));
        }
        Some(metric::Data::ExponentialHistogram(data)) => {
            data.data_points
                .iter_mut()
                .for_each(|p| visit(&mut p.attributes));
        }
        Some(metric::Data::Summary(data)) => {
            data.data_points
                .iter_mut()
                .for_each(|p| visit(&mut p.attributes));
        }
    }
}

fn keep_point(data: &mut Option<metric::Data>, wanted: usize) {
    fn only<T>(points: &mut Vec<T>, wanted: usize) {
        points.truncate(wanted + 1);
        points.drain(..wanted);
    }
    match data {
        None => {}
        Some(metric::Data::Gauge(data)) => only(&mut data.data_points, wanted),
        Some(metric::Data::Sum(data)) => only(&mut data.data_points, wanted),
        Some(metric::Data::Histogram(data)) => only(&mut data.data_points, wanted),
        Some(metric::Data::ExponentialHistogram(data)) => only(&mut data.data_points, wanted),
        Some(metric::Data::Summary(data)) => only(&mut data.data_points, wanted),
    }
}
