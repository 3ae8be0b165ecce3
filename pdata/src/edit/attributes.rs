//! What may be done to attributes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use super::splice::Splicer;
use crate::attributes::{AnyValue, Attributes, KeyValue};
use crate::build::{OwnedValue, put_attribute_raw};
use crate::cursor::Cursor;
use crate::wire::{self, Fields, Value};

/// Changes to the attributes of a resource, a scope or a record, applied one after the other: each
/// sees what the ones before it have done.
///
/// Keys that occur several times: [`insert`](Self::insert) does nothing if there is any,
/// [`update`](Self::update) and [`upsert`](Self::upsert) leave one, in the place of the first;
/// everything else applies to all of them. What reads an attribute reads the first. New attributes
/// stand at the end.
#[derive(Debug)]
pub struct AttributeEdits {
    actions: Vec<Action>,
    /// The keys that the actions are about.
    keys: Vec<String>,
    /// Whether some action may be about any key.
    any_key: bool,
    /// What the actions add to a holder that has none of the keys, for the field numbers 0 to 15.
    additions: [Vec<u8>; 16],
}

impl Default for AttributeEdits {
    fn default() -> Self {
        Self {
            actions: Vec::new(),
            keys: Vec::new(),
            any_key: false,
            additions: std::array::from_fn(|_| Vec::new()),
        }
    }
}

/// Where a new value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewValue {
    /// It is this one.
    Literal(OwnedValue),
    /// It is that of another attribute of the same holder. Without that attribute, nothing happens.
    FromAttribute(String),
}

impl<T: Into<OwnedValue>> From<T> for NewValue {
    fn from(value: T) -> Self {
        Self::Literal(value.into())
    }
}

type Decide = Box<dyn Fn(&str, &AnyValue<'_>) -> bool + Send + Sync>;
type Convert = Box<dyn Fn(&AnyValue<'_>) -> Option<OwnedValue> + Send + Sync>;
type Extract = Box<dyn Fn(&AnyValue<'_>, &mut dyn FnMut(&str, &AnyValue<'_>)) + Send + Sync>;

enum Action {
    Set {
        key: String,
        value: NewValue,
        /// Whether a key that is there gets the value.
        existing: bool,
        /// Whether a key that is missing gets it.
        missing: bool,
    },
    Delete(String),
    DeleteIf(Decide),
    Convert(String, Convert),
    ConvertIf(Decide, Convert),
    Extract(String, Extract),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { key, .. } => write!(f, "Set({key})"),
            Self::Delete(key) => write!(f, "Delete({key})"),
            Self::DeleteIf(_) => f.write_str("DeleteIf"),
            Self::Convert(key, _) => write!(f, "Convert({key})"),
            Self::ConvertIf(..) => f.write_str("ConvertIf"),
            Self::Extract(key, _) => write!(f, "Extract({key})"),
        }
    }
}

impl AttributeEdits {
    /// No changes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    fn set(self, key: impl Into<String>, value: NewValue, existing: bool, missing: bool) -> Self {
        self.with(Action::Set {
            key: key.into(),
            value,
            existing,
            missing,
        })
    }

    fn with(mut self, action: Action) -> Self {
        match &action {
            Action::Set { key, value, .. } => {
                self.keys.push(key.clone());
                if let NewValue::FromAttribute(source) = value {
                    self.keys.push(source.clone());
                }
            }
            Action::Delete(key) | Action::Convert(key, _) | Action::Extract(key, _) => {
                self.keys.push(key.clone());
            }
            Action::DeleteIf(_) | Action::ConvertIf(..) => self.any_key = true,
        }
        self.actions.push(action);
        if !self.any_key {
            let mut slots = Slots::default();
            run(&self.actions, &mut slots);
            let additions = std::array::from_fn(|number| {
                let mut out = Vec::new();
                slots.write_added(&mut out, u32::try_from(number).unwrap_or_default());
                out
            });
            // An extraction may come upon keys of its own.
            for slot in &slots.list {
                self.keys.push(wire::text(&slot.key).to_owned());
            }
            self.keys.sort_unstable();
            self.keys.dedup();
            self.additions = additions;
        }
        self
    }

    /// What the actions add to a holder, if it has none of the keys that they are about.
    #[inline]
    fn only_adds(&self, raw: &[u8], number: u32) -> Option<&Vec<u8>> {
        if self.any_key {
            return None;
        }
        for attribute in Attributes::new(raw, number) {
            let found = attribute.key_bytes();
            if self.keys.iter().any(|key| key.as_bytes() == found) {
                return None;
            }
        }
        self.additions.get(usize::try_from(number).ok()?)
    }

    /// Adds an attribute unless its key is there.
    #[must_use]
    pub fn insert(self, key: impl Into<String>, value: impl Into<NewValue>) -> Self {
        self.set(key, value.into(), false, true)
    }

    /// Changes an attribute if its key is there.
    #[must_use]
    pub fn update(self, key: impl Into<String>, value: impl Into<NewValue>) -> Self {
        self.set(key, value.into(), true, false)
    }

    /// Changes an attribute, or adds it.
    #[must_use]
    pub fn upsert(self, key: impl Into<String>, value: impl Into<NewValue>) -> Self {
        self.set(key, value.into(), true, true)
    }

    /// Removes the attributes with this key.
    #[must_use]
    pub fn delete(self, key: impl Into<String>) -> Self {
        self.with(Action::Delete(key.into()))
    }

    /// Removes the attributes that `decide` holds for.
    #[must_use]
    pub fn delete_if(
        self,
        decide: impl Fn(&str, &AnyValue<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(Action::DeleteIf(Box::new(decide)))
    }

    /// Replaces the values of the attributes with this key by what `convert` makes of them; `None`
    /// leaves a value as it is.
    #[must_use]
    pub fn convert(
        self,
        key: impl Into<String>,
        convert: impl Fn(&AnyValue<'_>) -> Option<OwnedValue> + Send + Sync + 'static,
    ) -> Self {
        self.with(Action::Convert(key.into(), Box::new(convert)))
    }

    /// The same for all attributes that `decide` holds for.
    #[must_use]
    pub fn convert_if(
        self,
        decide: impl Fn(&str, &AnyValue<'_>) -> bool + Send + Sync + 'static,
        convert: impl Fn(&AnyValue<'_>) -> Option<OwnedValue> + Send + Sync + 'static,
    ) -> Self {
        self.with(Action::ConvertIf(Box::new(decide), Box::new(convert)))
    }

    /// Upserts whatever `extract` finds in the value of the first attribute with this key.
    #[must_use]
    pub fn extract(
        self,
        key: impl Into<String>,
        extract: impl Fn(&AnyValue<'_>, &mut dyn FnMut(&str, &AnyValue<'_>)) + Send + Sync + 'static,
    ) -> Self {
        self.with(Action::Extract(key.into(), Box::new(extract)))
    }

    /// Applies the changes to the attributes (field `number`) of a message that has been entered.
    pub(super) fn apply<'a>(&'a self, splicer: &mut Splicer<'a>, raw: &'a [u8], number: u32) {
        if let Some(additions) = self.only_adds(raw, number) {
            if !additions.is_empty() {
                let end = splicer.range(raw).end;
                splicer.replace(end..end).extend_from_slice(additions);
            }
            return;
        }
        let mut slots = Slots::gather(raw, number);
        run(&self.actions, &mut slots);
        slots.write(splicer, raw, number);
    }

    /// Applies the changes to a holder that is missing in the message `parent`: if attributes come
    /// of it, a holder (field `holder`) with them.
    pub(super) fn create<'a>(
        &'a self,
        splicer: &mut Splicer<'a>,
        parent: &'a [u8],
        holder: u32,
        number: u32,
    ) {
        let mut slots = Slots::default();
        run(&self.actions, &mut slots);
        if slots.list.iter().any(|slot| slot.state != State::Gone) {
            let end = splicer.range(parent).end;
            let out = splicer.replace(end..end);
            let opened = wire::open_message(out, holder, 2);
            slots.write_added(out, number);
            wire::close_message(out, opened);
        }
    }
}

fn run<'a>(actions: &'a [Action], slots: &mut Slots<'a>) {
    for action in actions {
        match action {
            Action::Set {
                key,
                value,
                existing,
                missing,
            } => slots.set(key, value, *existing, *missing),
            Action::Delete(key) => slots.delete(|slot| *slot.key == *key.as_bytes()),
            Action::DeleteIf(decide) => slots.delete(|slot| slot.decide(decide)),
            Action::Convert(key, convert) => {
                slots.convert(convert, |slot| *slot.key == *key.as_bytes());
            }
            Action::ConvertIf(decide, convert) => {
                slots.convert(convert, |slot| slot.decide(decide));
            }
            Action::Extract(key, extract) => slots.extract(key, extract),
        }
    }
}

/// An attribute while it is being worked on.
struct Slot<'a> {
    key: Cow<'a, [u8]>,
    /// The bytes of its `AnyValue`.
    value: Cow<'a, [u8]>,
    origin: Origin<'a>,
    state: State,
}

enum Origin<'a> {
    /// It stands in the input: the whole field, and the `KeyValue` in it.
    Input {
        field: &'a [u8],
        raw: &'a [u8],
    },
    Added,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Same,
    Changed,
    Gone,
}

impl Slot<'_> {
    fn decide(&self, decide: &Decide) -> bool {
        decide(wire::text(&self.key), &AnyValue::new(&self.value))
    }
}

/// The attributes of one holder.
#[derive(Default)]
struct Slots<'a> {
    list: SmallVec<[Slot<'a>; 16]>,
    changed: bool,
}

impl<'a> Slots<'a> {
    fn gather(raw: &'a [u8], number: u32) -> Self {
        let mut slots = Self::default();
        for field in Fields::new(raw) {
            if field.number == number
                && let Value::Bytes(raw) = field.value
            {
                let attribute = KeyValue::new(raw);
                slots.list.push(Slot {
                    key: Cow::Borrowed(attribute.key_bytes()),
                    value: Cow::Borrowed(attribute.value_raw()),
                    origin: Origin::Input {
                        field: field.raw,
                        raw,
                    },
                    state: State::Same,
                });
            }
        }
        slots
    }

    fn first(&self, key: &str) -> Option<&Slot<'a>> {
        self.list
            .iter()
            .find(|slot| slot.state != State::Gone && *slot.key == *key.as_bytes())
    }

    fn set(&mut self, key: &'a str, value: &'a NewValue, existing: bool, missing: bool) {
        let value = match value {
            NewValue::Literal(value) => Cow::Borrowed(value.raw()),
            NewValue::FromAttribute(source) => match self.first(source) {
                Some(slot) => slot.value.clone(),
                None => return,
            },
        };
        self.put(Cow::Borrowed(key.as_bytes()), value, existing, missing);
    }

    fn put(&mut self, key: Cow<'a, [u8]>, value: Cow<'a, [u8]>, existing: bool, missing: bool) {
        let mut value = Some(value);
        let mut found = false;
        for slot in &mut self.list {
            if slot.state == State::Gone || slot.key != key {
                continue;
            }
            found = true;
            if !existing {
                return;
            }
            match value.take() {
                Some(value) if slot.value == value => {}
                Some(value) => {
                    slot.value = value;
                    slot.state = State::Changed;
                    self.changed = true;
                }
                None => {
                    slot.state = State::Gone;
                    self.changed = true;
                }
            }
        }
        if let Some(value) = value
            && missing
            && !found
        {
            self.list.push(Slot {
                key,
                value,
                origin: Origin::Added,
                state: State::Changed,
            });
            self.changed = true;
        }
    }

    fn delete(&mut self, doomed: impl Fn(&Slot<'a>) -> bool) {
        for slot in &mut self.list {
            if slot.state != State::Gone && doomed(slot) {
                slot.state = State::Gone;
                self.changed = true;
            }
        }
    }

    fn convert(&mut self, convert: &Convert, wanted: impl Fn(&Slot<'a>) -> bool) {
        for slot in &mut self.list {
            if slot.state != State::Gone
                && wanted(slot)
                && let Some(value) = convert(&AnyValue::new(&slot.value))
            {
                slot.value = Cow::Owned(value.into_raw());
                slot.state = State::Changed;
                self.changed = true;
            }
        }
    }

    fn extract(&mut self, key: &str, extract: &Extract) {
        let Some(value) = self.first(key).map(|slot| slot.value.clone()) else {
            return;
        };
        extract(&AnyValue::new(&value), &mut |key, value| {
            let value = OwnedValue::new(value).into_raw();
            let key = key.as_bytes().to_vec();
            self.put(Cow::Owned(key), Cow::Owned(value), true, true);
        });
    }

    fn write(&self, splicer: &mut Splicer<'a>, holder: &'a [u8], number: u32) {
        if !self.changed {
            return;
        }
        for slot in &self.list {
            let Origin::Input { field, raw } = slot.origin else {
                continue;
            };
            let range: Range<usize> = splicer.range(field);
            match slot.state {
                State::Same => {}
                State::Gone => {
                    splicer.replace(range);
                }
                State::Changed => {
                    put_with_value(splicer.replace(range), number, raw, &slot.value);
                }
            }
        }
        if self
            .list
            .last()
            .is_some_and(|slot| matches!(slot.origin, Origin::Added))
        {
            let end = splicer.range(holder).end;
            self.write_added(splicer.replace(end..end), number);
        }
    }

    fn write_added(&self, out: &mut Vec<u8>, number: u32) {
        for slot in &self.list {
            if matches!(slot.origin, Origin::Added) && slot.state != State::Gone {
                put_attribute_raw(out, number, &slot.key, &slot.value);
            }
        }
    }
}

/// Appends an attribute with another value; what else it consists of stays.
fn put_with_value(out: &mut Vec<u8>, number: u32, attribute: &[u8], value: &[u8]) {
    let opened = wire::open_message(out, number, wire::length_len(attribute.len()));
    for field in Fields::new(attribute) {
        if field.number != 2 {
            out.extend_from_slice(field.raw);
        }
    }
    wire::put_bytes_field(out, 2, value);
    wire::close_message(out, opened);
}
