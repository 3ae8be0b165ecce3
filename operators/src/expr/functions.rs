//! The functions of expressions.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine as _;

use super::closures;
use super::eval::{Result, Run, fail, int};
use super::val::{Val, seconds};
use crate::value::{Key, Map, Value};

/// A function.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) call: Call,
}

type Call = for<'a> fn(&Run<'a>, Vec<Val<'a>>) -> Result<Val<'a>>;

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Builtin {
    pub(super) fn arity(&self) -> String {
        match (self.least, self.most) {
            (1, 1) => "1 argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, usize::MAX) => format!("{least} arguments or more"),
            (least, most) => format!("{least} to {most} arguments"),
        }
    }
}

const fn builtin(name: &'static str, least: usize, most: usize, call: Call) -> Builtin {
    Builtin {
        name,
        least,
        most,
        call,
    }
}

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

/// What can be called on a time or a duration, as `timestamp.Unix()`.
pub(super) fn method(name: &str) -> Option<&'static Builtin> {
    METHODS.iter().find(|builtin| builtin.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let builtins = BUILTINS.iter().map(|builtin| builtin.name);
    builtins.chain(closures::names())
}

static BUILTINS: [Builtin; 51] = [
    builtin("env", 1, 1, env),
    builtin("len", 1, 1, len),
    builtin("type", 1, 1, type_of),
    builtin("int", 1, 1, to_int),
    builtin("float", 1, 1, to_float),
    builtin("string", 1, 1, |_, values| {
        let [value] = take(values)?;
        Ok(Val::Str(shown(value)))
    }),
    builtin("lower", 1, 1, |_, values| {
        map_text(values, |text| text.to_lowercase())
    }),
    builtin("upper", 1, 1, |_, values| {
        map_text(values, |text| text.to_uppercase())
    }),
    builtin("trim", 1, 2, |_, values| trim(values, true, true)),
    builtin("trimLeft", 1, 2, |_, values| trim(values, true, false)),
    builtin("trimRight", 1, 2, |_, values| trim(values, false, true)),
    builtin("trimPrefix", 2, 2, |_, values| {
        let (text, part) = two_texts(values)?;
        Ok(part_of(text, |text| {
            text.strip_prefix(part.as_ref()).unwrap_or(text)
        }))
    }),
    builtin("trimSuffix", 2, 2, |_, values| {
        let (text, part) = two_texts(values)?;
        Ok(part_of(text, |text| {
            text.strip_suffix(part.as_ref()).unwrap_or(text)
        }))
    }),
    builtin("hasPrefix", 2, 2, |_, values| {
        let (text, part) = two_texts(values)?;
        Ok(Val::Bool(text.starts_with(part.as_ref())))
    }),
    builtin("hasSuffix", 2, 2, |_, values| {
        let (text, part) = two_texts(values)?;
        Ok(Val::Bool(text.ends_with(part.as_ref())))
    }),
    builtin("indexOf", 2, 2, |_, values| {
        let (text, part) = two_texts(values)?;
        Ok(text.find(part.as_ref()).map_or(Val::Int(-1), int))
    }),
    builtin("lastIndexOf", 2, 2, |_, values| {
        let (text, part) = two_texts(values)?;
        Ok(text.rfind(part.as_ref()).map_or(Val::Int(-1), int))
    }),
    builtin("split", 2, 3, split),
    builtin("replace", 3, 3, replace),
    builtin("repeat", 2, 2, repeat),
    builtin("join", 1, 2, join),
    builtin("abs", 1, 1, |_, values| match take(values)? {
        [Val::Int(value)] => Ok(Val::Int(value.wrapping_abs())),
        [Val::Float(value)] => Ok(Val::Float(value.abs())),
        [other] => needs("a number", &other),
    }),
    builtin("ceil", 1, 1, |_, values| {
        Ok(Val::Float(one_number(values)?.ceil()))
    }),
    builtin("floor", 1, 1, |_, values| {
        Ok(Val::Float(one_number(values)?.floor()))
    }),
    builtin("round", 1, 1, |_, values| {
        Ok(Val::Float(one_number(values)?.round()))
    }),
    builtin("min", 1, usize::MAX, |run, values| {
        extreme(run, values, Ordering::Less)
    }),
    builtin("max", 1, usize::MAX, |run, values| {
        extreme(run, values, Ordering::Greater)
    }),
    builtin("mean", 1, 1, |_, values| {
        let numbers = numbers(values)?;
        Ok(Val::Float(sum(&numbers) / count(numbers.len()).max(1.0)))
    }),
    builtin("median", 1, 1, |_, values| {
        let mut numbers = numbers(values)?;
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        Ok(Val::Float(
            if numbers.len().is_multiple_of(2) && middle > 0 {
                f64::midpoint(at(middle - 1), at(middle))
            } else {
                at(middle)
            },
        ))
    }),
    builtin("keys", 1, 1, |run, values| {
        let map = one_map(values)?;
        run.pay(map.len())?;
        let keys = map.iter().map(|(key, _)| Value::from(key.as_str()));
        Ok(list(keys.collect()))
    }),
    builtin("values", 1, 1, |run, values| {
        let map = one_map(values)?;
        let mut list = Vec::with_capacity(map.len());
        for (_, value) in map.into_owned() {
            list.push(run.owned(Val::from(value))?);
        }
        Ok(Val::List(Cow::Owned(list)))
    }),
    builtin("toPairs", 1, 1, |run, values| {
        let map = Val::Map(one_map(values)?);
        let Value::Map(map) = run.owned(map)? else {
            return fail("it needs a map");
        };
        let pair = |(key, value): (Key, Value)| Value::List(vec![key.as_str().into(), value]);
        Ok(list(map.into_iter().map(pair).collect()))
    }),
    builtin("fromPairs", 1, 1, |run, values| {
        let mut map = Map::new();
        for pair in own_list(run, values)? {
            match pair {
                Value::List(pair) => match <[Value; 2]>::try_from(pair) {
                    Ok([Value::Str(key), value]) => map.insert(key, value),
                    _ => return fail("a pair is a list of a key and a value"),
                },
                _ => return fail("a pair is a list of a key and a value"),
            };
        }
        Ok(Val::Map(Cow::Owned(map)))
    }),
    builtin("first", 1, 1, |run, values| edge(run, values, 0)),
    builtin("last", 1, 1, |run, values| edge(run, values, -1)),
    builtin("get", 2, 2, |run, values| {
        let [of, key] = take(values)?;
        Ok(run.member(of, &key).unwrap_or(Val::Null))
    }),
    builtin("take", 2, 2, |run, values| match take(values)? {
        [Val::List(list), Val::Int(count)] => {
            let count = usize::try_from(count).unwrap_or(0).min(list.len());
            run.pay(count)?;
            Ok(Val::List(match list {
                Cow::Borrowed(list) => Cow::Borrowed(list.get(..count).unwrap_or_default()),
                Cow::Owned(mut list) => {
                    list.truncate(count);
                    Cow::Owned(list)
                }
            }))
        }
        [other, _] => needs("a list and a whole number", &other),
    }),
    builtin("reverse", 1, 1, |run, values| {
        let mut items = own_list(run, values)?;
        items.reverse();
        Ok(list(items))
    }),
    builtin("sort", 1, 2, sort),
    builtin("uniq", 1, 1, |run, values| {
        let mut unique: Vec<Value> = Vec::new();
        for item in own_list(run, values)? {
            run.pay(unique.len())?;
            if !unique
                .iter()
                .any(|known| Val::from(known).equals(&Val::from(&item)))
            {
                unique.push(item);
            }
        }
        Ok(list(unique))
    }),
    builtin("concat", 1, usize::MAX, |run, values| {
        let mut all = Vec::new();
        for value in values {
            match run.owned(value)? {
                Value::List(mut items) => all.append(&mut items),
                other => return needs("lists", &Val::from(&other)),
            }
        }
        Ok(list(all))
    }),
    builtin("flatten", 1, 1, |run, values| {
        fn flatten(items: Vec<Value>, all: &mut Vec<Value>) {
            for item in items {
                match item {
                    Value::List(items) => flatten(items, all),
                    item => all.push(item),
                }
            }
        }
        let mut all = Vec::new();
        flatten(own_list(run, values)?, &mut all);
        Ok(list(all))
    }),
    builtin("toJSON", 1, 1, |run, values| {
        let [value] = take(values)?;
        let text = run.owned(value)?.to_json().to_string();
        run.pay(text.len() / 32)?;
        Ok(Val::Str(Cow::Owned(text)))
    }),
    builtin("fromJSON", 1, 1, |run, values| {
        let text = one_text(values)?;
        run.pay(text.len())?;
        match crate::parse::json::value(&text) {
            Ok(value) => Ok(Val::from(value)),
            Err(error) => fail(error),
        }
    }),
    builtin("toBase64", 1, 1, |run, values| {
        let text = one_text(values)?;
        run.pay(text.len() / 16)?;
        let text = base64::engine::general_purpose::STANDARD.encode(text.as_bytes());
        Ok(Val::Str(Cow::Owned(text)))
    }),
    builtin("fromBase64", 1, 1, |_, values| {
        let text = one_text(values)?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .ok();
        match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => Ok(Val::Str(Cow::Owned(text))),
            None => fail("the text is no base64 of text"),
        }
    }),
    builtin("now", 0, 0, |_, _| Ok(Val::Time(now()))),
    builtin("duration", 1, 1, |_, values| {
        let text = one_text(values)?;
        match text.parse::<corten_config::types::Duration>() {
            Ok(duration) => Ok(Val::Duration(
                i64::try_from(duration.get().as_nanos()).unwrap_or(i64::MAX),
            )),
            Err(error) => fail(error.to_string()),
        }
    }),
    builtin("date", 1, 1, |_, values| {
        let text = one_text(values)?;
        let time = text.parse::<jiff::Timestamp>().ok();
        match time.and_then(|time| i64::try_from(time.as_nanosecond()).ok()) {
            Some(nanos) => Ok(Val::Time(nanos)),
            None => fail("the text is no time such as 2026-01-02T15:04:05Z"),
        }
    }),
    builtin("bitand", 2, 2, |_, values| bits(values, |a, b| a & b)),
    builtin("bitor", 2, 2, |_, values| bits(values, |a, b| a | b)),
];

static METHODS: [Builtin; 13] = [
    builtin("Unix", 1, 1, |_, values| {
        Ok(Val::Int(time(values)?.div_euclid(1_000_000_000)))
    }),
    builtin("UnixMilli", 1, 1, |_, values| {
        Ok(Val::Int(time(values)?.div_euclid(1_000_000)))
    }),
    builtin("UnixMicro", 1, 1, |_, values| {
        Ok(Val::Int(time(values)?.div_euclid(1000)))
    }),
    builtin("UnixNano", 1, 1, |_, values| Ok(Val::Int(time(values)?))),
    builtin("Year", 1, 1, |_, values| {
        Ok(Val::Int(civil(values)?.year().into()))
    }),
    builtin("Month", 1, 1, |_, values| {
        Ok(Val::Int(civil(values)?.month().into()))
    }),
    builtin("Day", 1, 1, |_, values| {
        Ok(Val::Int(civil(values)?.day().into()))
    }),
    builtin("Hour", 1, 1, |_, values| {
        Ok(Val::Int(civil(values)?.hour().into()))
    }),
    builtin("Minute", 1, 1, |_, values| {
        Ok(Val::Int(civil(values)?.minute().into()))
    }),
    builtin("Second", 1, 1, |_, values| {
        Ok(Val::Int(civil(values)?.second().into()))
    }),
    builtin("Nanosecond", 1, 1, |_, values| {
        Ok(Val::Int(civil(values)?.subsec_nanosecond().into()))
    }),
    builtin("Seconds", 1, 1, |_, values| match take(values)? {
        [Val::Duration(nanos)] => Ok(Val::Float(seconds(nanos))),
        [other] => needs("a duration", &other),
    }),
    builtin("String", 1, 1, |_, values| {
        let [value] = take(values)?;
        Ok(Val::Str(shown(value)))
    }),
];

fn take<'a, const N: usize>(values: Vec<Val<'a>>) -> Result<[Val<'a>; N]> {
    values
        .try_into()
        .or_else(|_| fail("it has the wrong number of arguments"))
}

pub(super) fn needs<'a>(what: &str, found: &Val<'_>) -> Result<Val<'a>> {
    fail(format!("it needs {what}, found {}", found.type_name()))
}

pub(super) fn list<'a>(items: Vec<Value>) -> Val<'a> {
    Val::List(Cow::Owned(items))
}

fn own_list(run: &Run<'_>, values: Vec<Val<'_>>) -> Result<Vec<Value>> {
    match take(values)? {
        [Val::List(items)] => {
            run.pay(items.len())?;
            Ok(items.into_owned())
        }
        [other] => fail(format!("it needs a list, found {}", other.type_name())),
    }
}

fn one_text(values: Vec<Val<'_>>) -> Result<Cow<'_, str>> {
    match take(values)? {
        [Val::Str(text)] => Ok(text),
        [other] => fail(format!("it needs text, found {}", other.type_name())),
    }
}

fn two_texts<'a>(values: Vec<Val<'a>>) -> Result<(Cow<'a, str>, Cow<'a, str>)> {
    match take(values)? {
        [Val::Str(a), Val::Str(b)] => Ok((a, b)),
        [Val::Str(_), other] | [other, _] => {
            fail(format!("it needs text, found {}", other.type_name()))
        }
    }
}

fn one_map(values: Vec<Val<'_>>) -> Result<Cow<'_, Map>> {
    match take(values)? {
        [Val::Map(map)] => Ok(map),
        [other] => fail(format!("it needs a map, found {}", other.type_name())),
    }
}

fn one_number(values: Vec<Val<'_>>) -> Result<f64> {
    let [value] = take(values)?;
    match value.number() {
        Some(number) => Ok(number),
        None => fail(format!("it needs a number, found {}", value.type_name())),
    }
}

fn numbers(values: Vec<Val<'_>>) -> Result<Vec<f64>> {
    let [value] = take(values)?;
    let Val::List(items) = &value else {
        return fail(format!("it needs a list, found {}", value.type_name()));
    };
    items
        .iter()
        .map(|item| match Val::from(item).number() {
            Some(number) => Ok(number),
            None => fail(format!("it needs numbers, found {}", item.type_name())),
        })
        .collect()
}

fn sum(numbers: &[f64]) -> f64 {
    numbers.iter().sum()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "lists are far shorter than 2^53"
)]
fn count(len: usize) -> f64 {
    len as f64
}

fn map_text<'a>(values: Vec<Val<'a>>, change: impl Fn(&str) -> String) -> Result<Val<'a>> {
    Ok(Val::Str(Cow::Owned(change(&one_text(values)?))))
}

/// A part of a text, borrowed if the text is.
fn part_of<'a>(text: Cow<'a, str>, part: impl for<'t> Fn(&'t str) -> &'t str) -> Val<'a> {
    Val::Str(match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => Cow::Owned(part(&text).to_owned()),
    })
}

fn trim(values: Vec<Val<'_>>, left: bool, right: bool) -> Result<Val<'_>> {
    let (text, set) = if values.len() > 1 {
        let (text, set) = two_texts(values)?;
        (text, Some(set))
    } else {
        (one_text(values)?, None)
    };
    let out = |c: char| match &set {
        Some(set) => set.contains(c),
        None => c.is_whitespace(),
    };
    Ok(part_of(text, |text| {
        let text = if left {
            text.trim_start_matches(out)
        } else {
            text
        };
        if right {
            text.trim_end_matches(out)
        } else {
            text
        }
    }))
}

fn env<'a>(_: &Run<'a>, values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let name = one_text(values)?;
    Ok(Val::Str(Cow::Owned(
        std::env::var(name.as_ref()).unwrap_or_default(),
    )))
}

fn len<'a>(_: &Run<'a>, values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let [value] = take(values)?;
    Ok(int(match &value {
        Val::Str(text) => text.chars().count(),
        Val::Bytes(bytes) => bytes.len(),
        Val::List(list) => list.len(),
        Val::Map(map) => map.len(),
        other => return needs("text, a list or a map", other),
    }))
}

fn type_of<'a>(_: &Run<'a>, values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let [value] = take(values)?;
    Ok(Val::Str(Cow::Borrowed(match value {
        Val::Null => "nil",
        Val::Bool(_) => "bool",
        Val::Int(_) => "int",
        Val::Float(_) => "float",
        Val::Str(_) => "string",
        Val::Bytes(_) | Val::List(_) => "array",
        Val::Map(_) => "map",
        Val::Time(_) => "time.Time",
        Val::Duration(_) => "time.Duration",
    })))
}

fn to_int<'a>(_: &Run<'a>, values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let [value] = take(values)?;
    match &value {
        Val::Int(value) => Ok(Val::Int(*value)),
        Val::Float(value) => Ok(Val::Int(truncated(*value))),
        Val::Str(text) => match text.parse() {
            Ok(value) => Ok(Val::Int(value)),
            Err(_) => fail(format!("the text '{}' is no whole number", short(text))),
        },
        other => needs("a number or text", other),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction is to be dropped, and what is too large ends at the limits"
)]
fn truncated(value: f64) -> i64 {
    value as i64
}

fn to_float<'a>(_: &Run<'a>, values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let [value] = take(values)?;
    match (&value, value.number()) {
        (_, Some(number)) => Ok(Val::Float(number)),
        (Val::Str(text), _) => match text.parse() {
            Ok(value) => Ok(Val::Float(value)),
            Err(_) => fail(format!("the text '{}' is no number", short(text))),
        },
        (other, _) => needs("a number or text", other),
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A value as text; lists and maps are JSON.
pub(super) fn shown(value: Val<'_>) -> Cow<'_, str> {
    match value {
        Val::Str(text) => text,
        Val::Null => Cow::Borrowed("<nil>"),
        Val::Bool(value) => Cow::Owned(value.to_string()),
        Val::Int(value) => Cow::Owned(value.to_string()),
        Val::Float(value) => Cow::Owned(value.to_string()),
        other => match other.into_value() {
            Value::Str(text) => Cow::Owned(text),
            other => Cow::Owned(other.to_json().to_string()),
        },
    }
}

fn split<'a>(run: &Run<'a>, mut values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let most = match values.get(2) {
        None => usize::MAX,
        Some(Val::Int(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
        Some(other) => return needs("a whole number", other),
    };
    values.truncate(2);
    let (text, by) = two_texts(values)?;
    run.pay(text.len().saturating_mul(4))?;
    let parts: Vec<Value> = if by.is_empty() {
        text.chars().map(|c| Value::Str(c.to_string())).collect()
    } else {
        text.splitn(most, by.as_ref()).map(Value::from).collect()
    };
    Ok(list(parts))
}

fn replace<'a>(run: &Run<'a>, values: Vec<Val<'a>>) -> Result<Val<'a>> {
    match take(values)? {
        [Val::Str(text), Val::Str(from), Val::Str(to)] => {
            let count = text.matches(from.as_ref()).count();
            run.pay((text.len() + count.saturating_mul(to.len())) / 32)?;
            Ok(Val::Str(Cow::Owned(text.replace(from.as_ref(), &to))))
        }
        [a, b, c] => {
            let wrong = [a, b, c].into_iter().find(|v| !matches!(v, Val::Str(_)));
            needs("text", &wrong.unwrap_or(Val::Null))
        }
    }
}

fn repeat<'a>(run: &Run<'a>, values: Vec<Val<'a>>) -> Result<Val<'a>> {
    match take(values)? {
        [Val::Str(text), Val::Int(times)] => {
            let times = usize::try_from(times).unwrap_or(0);
            run.pay(text.len().saturating_mul(times))?;
            Ok(Val::Str(Cow::Owned(text.repeat(times))))
        }
        [other, _] => needs("text and a whole number", &other),
    }
}

fn join<'a>(run: &Run<'a>, mut values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let by = match values.get(1) {
        None => String::new(),
        Some(Val::Str(by)) => by.to_string(),
        Some(other) => return needs("text", other),
    };
    values.truncate(1);
    let mut joined = String::new();
    for (index, item) in own_list(run, values)?.iter().enumerate() {
        if index > 0 {
            joined.push_str(&by);
        }
        match item {
            Value::Str(text) => joined.push_str(text),
            other => return needs("a list of text", &Val::from(other)),
        }
        run.pay(by.len() / 32)?;
    }
    Ok(Val::Str(Cow::Owned(joined)))
}

fn extreme<'a>(run: &Run<'a>, values: Vec<Val<'a>>, wanted: Ordering) -> Result<Val<'a>> {
    let mut best: Option<Val<'a>> = None;
    let mut all: Vec<Val<'a>> = Vec::new();
    for value in values {
        match value {
            Val::List(items) => {
                run.pay(items.len())?;
                all.extend(items.into_owned().into_iter().map(Val::from));
            }
            value => all.push(value),
        }
    }
    for value in all {
        if value.number().is_none() {
            return needs("numbers", &value);
        }
        if best
            .as_ref()
            .is_none_or(|best| value.order(best) == Some(wanted))
        {
            best = Some(value);
        }
    }
    Ok(best.unwrap_or(Val::Null))
}

fn edge<'a>(run: &Run<'a>, values: Vec<Val<'a>>, index: i64) -> Result<Val<'a>> {
    match take(values)? {
        [Val::List(items)] if items.is_empty() => Ok(Val::Null),
        [of @ Val::List(_)] => run.member(of, &Val::Int(index)),
        [other] => needs("a list", &other),
    }
}

fn sort<'a>(run: &Run<'a>, mut values: Vec<Val<'a>>) -> Result<Val<'a>> {
    let down = match values.get(1) {
        None => false,
        Some(Val::Str(order)) => order == "desc",
        Some(other) => return needs("asc or desc", other),
    };
    values.truncate(1);
    let mut items = own_list(run, values)?;
    items.sort_by(|a, b| {
        let order = Val::from(a).order(&Val::from(b));
        let order = order.unwrap_or(Ordering::Equal);
        if down { order.reverse() } else { order }
    });
    Ok(list(items))
}

fn bits<'a>(values: Vec<Val<'a>>, operation: impl Fn(i64, i64) -> i64) -> Result<Val<'a>> {
    match take(values)? {
        [Val::Int(a), Val::Int(b)] => Ok(Val::Int(operation(a, b))),
        [Val::Int(_), other] | [other, _] => needs("whole numbers", &other),
    }
}

fn time(values: Vec<Val<'_>>) -> Result<i64> {
    match take(values)? {
        [Val::Time(nanos)] => Ok(nanos),
        [other] => fail(format!("it needs a time, found {}", other.type_name())),
    }
}

fn civil(values: Vec<Val<'_>>) -> Result<jiff::civil::DateTime> {
    match jiff::Timestamp::from_nanosecond(time(values)?.into()) {
        Ok(time) => Ok(jiff::tz::TimeZone::UTC.to_datetime(time)),
        Err(_) => fail("the time is out of range"),
    }
}

fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
