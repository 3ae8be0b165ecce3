//! Expressions: read or refused, evaluated or not, within bounds.

#![no_main]

use corten_operators::{Entry, Expr, Field, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut entry = Entry::text("GET /x 404");
    entry.attributes.insert("n", 5);
    entry.attributes.insert("text", "a,b");
    if let Ok(expr) = text.parse::<Expr>() {
        drop(expr.value(&entry));
        drop(expr.matches(&entry));
    }
    if let Ok(field) = text.parse::<Field>() {
        assert!(field.to_string().contains(['b', 'a', 'r']));
    }
    if let Ok(template) = Template::parse(text.into()) {
        drop(template.value(&entry));
    }
});
