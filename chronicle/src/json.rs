//! JSON as values of OpenTelemetry.

use corten_pdata::AnyValue;
use corten_pdata::build::OwnedValue;
use serde_json::Value;

/// The same value: whole numbers stay whole where they fit in 64 bits, `null` is the empty value.
#[must_use]
pub fn any_value(json: &Value) -> OwnedValue {
    match json {
        Value::Null => OwnedValue::default(),
        Value::Bool(value) => OwnedValue::from(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => OwnedValue::from(value),
            None => OwnedValue::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => OwnedValue::from(text.as_str()),
        Value::Array(values) => {
            let values: Vec<OwnedValue> = values.iter().map(any_value).collect();
            OwnedValue::array(values.iter().map(OwnedValue::get))
        }
        Value::Object(entries) => OwnedValue::map(|to| {
            for (key, value) in entries {
                match value {
                    // By far the most, without a copy on the way.
                    Value::String(text) => to.attribute(key, &AnyValue::String(text)),
                    value => to.attribute(key, &any_value(value).get()),
                };
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_value() {
        let json = json!({"a": [1, 2.5, null, true], "b": {"c": "d"}, "big": u64::MAX});
        let value = any_value(&json);
        let AnyValue::KvList(map) = value.get() else {
            panic!("no map");
        };
        let AnyValue::Array(list) = map.get("a").unwrap() else {
            panic!("no list");
        };
        assert_eq!(list.iter().count(), 4);
        let AnyValue::KvList(inner) = map.get("b").unwrap() else {
            panic!("no map");
        };
        assert_eq!(inner.get_str("c"), Some("d"));
        assert!(matches!(map.get("big"), Some(AnyValue::Double(_))));
    }
}
