use super::*;
use crate::value::Map;
use proptest::prelude::*;

fn entry() -> Entry {
    let mut entry = Entry::default();
    let body = r#"{"message":"GET /x 404","level":"error","code":404,"ratio":0.5,
        "tags":["a","b","c"],"numbers":[3,1,2],"user":{"name":"ann","id":7},"nothing":null,"ok":true}"#;
    entry.body = crate::parse::json::value(body).unwrap();
    entry.attributes.insert("k8s.pod.name", "web-0");
    entry.attributes.insert("n", 5);
    std::sync::Arc::make_mut(&mut entry.resource).insert("cluster", "blue");
    entry.time = Some(1_767_225_600_000_000_000);
    entry.severity = 17;
    entry.severity_text = "ERR".to_owned();
    entry
}

fn value(text: &str) -> String {
    let expr: Expr = match text.parse() {
        Ok(expr) => expr,
        Err(error) => return format!("{error}"),
    };
    match expr.value(&entry()) {
        Ok(value) => value.to_json().to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn what_expressions_mean() {
    for (text, expected) in [
        // Names and members.
        ("body.message", "\"GET /x 404\""),
        ("$.level", "\"error\""),
        ("attributes['k8s.pod.name']", "\"web-0\""),
        ("attributes[\"none\"]", "null"),
        ("resource.cluster", "\"blue\""),
        ("body.user.name", "\"ann\""),
        ("body['user']['id']", "7"),
        ("body.tags[0]", "\"a\""),
        ("body.tags[-1]", "\"c\""),
        ("body.tags[1:]", "[\"b\",\"c\"]"),
        ("body.tags[:-1]", "[\"a\",\"b\"]"),
        ("body.message[0:3]", "\"GET\""),
        ("severity_number", "17"),
        ("severity_text", "\"ERR\""),
        ("timestamp.Unix()", "1767225600"),
        ("timestamp.Year()", "2026"),
        ("unheard_of", "null"),
        // Comparisons.
        ("body.level == 'error'", "true"),
        ("body.code == 404.0", "true"),
        ("body.code == '404'", "false"),
        ("body.nothing == nil", "true"),
        ("body.code >= 400 and body.code < 500", "true"),
        ("'a' < 'b'", "true"),
        ("not (body.ok)", "false"),
        ("!body.ok || body.ok", "true"),
        ("not body.ok == false", "true"),
        ("body.level in ['warn', 'error']", "true"),
        ("body.level not in ['warn']", "true"),
        ("'name' in body.user", "true"),
        ("'x' in body.nothing", "false"),
        ("3 in 1..5", "true"),
        // Text.
        ("body.message matches '^GET .* \\\\d+$'", "true"),
        ("body.message matches `\\d{3}`", "true"),
        ("body.message not matches '^POST'", "true"),
        ("body.message matches body.level", "false"),
        ("body.nothing matches 'x'", "false"),
        ("body.message contains '/x'", "true"),
        ("body.message startsWith 'GET'", "true"),
        ("body.message endsWith '404'", "true"),
        ("body.nothing contains 'x'", "false"),
        ("body.level + \"_suffix\"", "\"error_suffix\""),
        (
            "'it''s'",
            "the expression can't be read at character 5: expected an operator or the end, found \"s\"",
        ),
        ("\"a\\n\\x41\\u00e9\"", "\"a\\nAé\""),
        // Arithmetic.
        ("1 + 2 * 3 - 4", "3"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3.5"),
        ("7 % 4", "3"),
        ("7 % 0", "error: a whole number is divided by zero"),
        ("2 ** 3 ** 2", "512.0"),
        ("-2 ^ 2", "-4.0"),
        ("1_000 + 0x10", "1016"),
        ("1.5e2", "150.0"),
        (".5 + .5", "1.0"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        // Choices.
        ("body.ok ? 'yes' : 'no'", "\"yes\""),
        ("body.none ?? 'default'", "\"default\""),
        ("body.none ?? 'x' == 'x'", "true"),
        ("body.none?.deeper.still", "null"),
        ("body.none?.['deeper']", "null"),
        ("body.none.deeper", "error: there is no 'deeper' in nothing"),
        // Functions.
        ("len(body.tags) + len('äö')", "5"),
        (
            "type(body.code) + type(body.user) + type(nil)",
            "\"intmapnil\"",
        ),
        ("int('42') + int(1.9)", "43"),
        ("string(1.5) + string(true)", "\"1.5true\""),
        ("upper('a') + lower('B') + trim('  c ')", "\"Abc\""),
        (
            "trimPrefix('xay', 'x') + trimSuffix('xay', 'y') + trim('--z-', '-')",
            "\"ayxaz\"",
        ),
        ("split('a,b,c', ',')[1]", "\"b\""),
        ("split('a,b,c', ',', 2)", "[\"a\",\"b,c\"]"),
        ("join(body.tags, '-')", "\"a-b-c\""),
        ("replace('aXa', 'X', 'b')", "\"aba\""),
        ("repeat('ab', 2)", "\"abab\""),
        ("indexOf('abc', 'c')", "2"),
        ("max(1, 3, 2) + min(body.numbers)", "4"),
        ("sum(body.numbers)", "6"),
        ("mean([1, 2])", "1.5"),
        ("median(body.numbers)", "2.0"),
        ("sort(body.numbers)", "[1,2,3]"),
        ("reverse(body.tags)", "[\"c\",\"b\",\"a\"]"),
        ("first(body.tags) + last(body.tags)", "\"ac\""),
        ("keys(body.user)", "[\"id\",\"name\"]"),
        ("fromJSON('{\"a\":[1]}').a[0]", "1"),
        (
            "toJSON({a: 1, 'b': [nil]})",
            "\"{\\\"a\\\":1,\\\"b\\\":[null]}\"",
        ),
        ("toBase64('hi') + fromBase64('aGk=')", "\"aGk=hi\""),
        ("env('CORTEN_NO_SUCH_VARIABLE') == ''", "true"),
        ("date('2026-01-01T00:00:00Z') == timestamp", "true"),
        ("timestamp < now()", "true"),
        ("(now() - timestamp) > duration('1s')", "true"),
        // Every element.
        ("any(body.tags, # == 'b')", "true"),
        ("any(body.tags, {# == 'x'})", "false"),
        ("all(body.numbers, # > 0)", "true"),
        ("none(body.numbers, # > 5)", "true"),
        ("one(body.numbers, # == 3)", "true"),
        ("map(body.numbers, # * 2)", "[6,2,4]"),
        ("map(body.tags, #index)", "[0,1,2]"),
        ("filter(body.numbers, # >= 2)", "[3,2]"),
        ("find([{a: 1}, {a: 2}], .a == 2).a", "2"),
        ("findIndex(body.tags, # == 'c')", "2"),
        ("count(body.numbers, # > 1)", "2"),
        ("any(body.tags, any(body.numbers, # == 3))", "true"),
        ("body.tags | map(upper(#)) | join('')", "\"ABC\""),
        ("let x = body.code; let y = x + 1; x + y", "809"),
        ("/* how */ 1 + // many\n 2", "3"),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (text, expected) in [
        ("", "at character 1: expected a value, found the end"),
        ("body ==", "at character 8: expected a value, found the end"),
        ("body == 'x", "at character 9: a quote is not closed"),
        ("body ~ 1", "at character 6: '~' has no meaning here"),
        ("(body", "expected ')', found the end"),
        ("body matches '('", "unclosed group"),
        ("body matches 3", "must be text"),
        ("body matches '\\d'", "for a backslash write two"),
        (
            "lne(body)",
            "there is no function 'lne', did you mean 'len'?",
        ),
        ("len()", "function 'len' takes 1 argument, found 0"),
        ("# > 1", "only within a function"),
        ("12ab", "a number can't be read"),
        ("99999999999999999999", "a number is too large"),
        ("1 2", "expected an operator or the end, found 2"),
    ] {
        let error = text.parse::<Expr>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    for (text, expected) in [
        (
            "body.code matches 'x'",
            "'matches' needs text, found a whole number",
        ),
        (
            "body.tags > 1",
            "'>' can't be done with a list and a whole number",
        ),
        ("body.message.x", "there is no 'x' in text"),
        ("body.tags[7]", "there is no element 7: the list has 3"),
        (
            "1 and true",
            "'and' needs true or false, found a whole number",
        ),
        (
            "len(1)",
            "len: it needs text, a list or a map, found a whole number",
        ),
        ("int('x')", "int: the text 'x' is no whole number"),
        (
            "repeat('x', 100000000)",
            "takes more than four million steps",
        ),
        ("1..100000000", "takes more than four million steps"),
        (
            "map(1..100000, map(1..100000, 'x'))",
            "takes more than four million steps",
        ),
    ] {
        let error = text.parse::<Expr>().unwrap().value(&entry()).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let expr: Expr = "body.code".parse().unwrap();
    assert!(
        expr.matches(&entry())
            .unwrap_err()
            .to_string()
            .contains("must be true or false")
    );
    let expr: Expr = "bodi.x ?? level == 1".parse().unwrap();
    assert_eq!(expr.unknown().collect::<Vec<_>>(), ["bodi", "level"]);
}

#[test]
fn depth_is_bounded() {
    let deep = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(value(&deep(30)), "1");
    for text in [
        deep(100_000),
        "-".repeat(100_000),
        "not ".repeat(1000),
        format!("body{}", "[body".repeat(1000)),
        "{a:".repeat(1000),
        "let a = 1; ".repeat(1000),
        format!("1{}", " + 1".repeat(1000)),
        format!("body{}", ".a".repeat(1000)),
    ] {
        assert!(text.parse::<Expr>().is_err(), "{text:.40}");
    }
    assert_eq!(value(&format!("1{}", " + 1".repeat(200))), "201");
    let many = vec!["body.level == 'x'"; 100].join(" or ");
    assert_eq!(value(&many), "false");
}

#[test]
fn a_body_of_text_is_text() {
    let expr: Expr = r#"body matches "^\\S" and $ contains "x""#.parse().unwrap();
    assert_eq!(expr.matches(&Entry::text("a x")), Ok(true));
    assert_eq!(expr.matches(&Entry::text(" x")), Ok(false));
    let map = Entry {
        body: Map::new().into(),
        ..Entry::default()
    };
    assert!(expr.matches(&map).is_err());
}

fn endpoint() -> Map {
    let json = serde_json::json!({
        "type": "port", "name": "redis", "port": 6379, "endpoint": "10.0.0.7:6379",
        "pod": {"name": "redis-0", "labels": {"app": "redis"}, "annotations": {}},
    });
    match Value::from_json(json) {
        Value::Map(map) => map,
        _ => Map::new(),
    }
}

#[test]
fn names_are_what_is_given() {
    for (text, expected) in [
        (
            r#"type == "port" && pod.name matches "redis" && port == 6379"#,
            "true",
        ),
        (r#"type == "pod" or not (port in 6000..7000)"#, "false"),
        (
            r#"pod.labels["app"] startsWith "re" and name endsWith "s""#,
            "true",
        ),
        (
            r#""app" in pod.labels ? pod.labels.app : "none""#,
            r#""redis""#,
        ),
        // Labels are maps of text: what they lack is empty text, as upstream.
        (
            r#"pod.labels["x"] == '' and pod.annotations["x"] == ''"#,
            "true",
        ),
        (r#"pod.labels["x"] ?? "d""#, r#""""#),
        // Other maps lack in the usual way.
        ("pod.uid == nil and nothing == nil", "true"),
        (r#"node?.name ?? "d""#, r#""d""#),
        ("typeOf(port)", r#""int""#),
        (
            r#"endpoint + "/" + string(port + 1)"#,
            r#""10.0.0.7:6379/6380""#,
        ),
    ] {
        let expr: FreeExpr = text.parse().unwrap();
        let value = expr.value(&endpoint()).unwrap().to_json().to_string();
        assert_eq!(value, expected, "{text}");
    }
    for wrong in ["type(port)", "env('HOME')", "$", "port ==", ""] {
        assert!(wrong.parse::<FreeExpr>().is_err(), "{wrong}");
    }
    let port: FreeExpr = "port".parse().unwrap();
    let error = port.matches(&endpoint()).unwrap_err().to_string();
    assert!(error.contains("true or false"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_panics(words in prop::collection::vec(prop::sample::select(vec![
        "body", "attributes", ".", "?.", "[", "]", "(", ")", "{", "}", "#", "1", "-1", "2.5", "'a'", "\"b\"", "nil", "true", ":", ",",
        "?", "??", "and", "or", "not", "in", "matches", "contains", "==", "<", "+", "-", "*", "/", "%", "**", "..", "|", "any", "map",
        "len", "split", "let", "x", "=", ";", ".tags", ".user", "sort", "take", "filter", ".Unix()", "9223372036854775807",
    ]), 0..14)) {
        let text = words.join(" ");
        if let Ok(expr) = text.parse::<Expr>() {
            drop(expr.value(&entry()));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
        drop(text.parse::<Expr>());
        if let Ok(expr) = text.parse::<FreeExpr>() {
            drop(expr.value(&endpoint()));
        }
    }
}
