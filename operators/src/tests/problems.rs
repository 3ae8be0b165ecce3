//! What is said of settings that are wrong.

use super::*;

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let problems = |yaml: &str| {
        let mut problems = Problems::new();
        let chain = operators(yaml).build(&mut problems);
        assert_eq!(chain.is_none(), problems.has_errors());
        problems
            .sorted()
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect::<String>()
    };
    expect![[r#"
        config:1:3: operators[0]: missing required field `type`
        config:2:9: operators[1]: unsupported type 'jsonparser', did you mean 'json_parser'?
        config:3:9: operators[2]: operator 'file_input' is an input: a receiver reads its own, and its operators change what was read
        config:4:15: operators[3]: unknown field 'parse_form' (valid: type, id, output, on_error, if, field, value)
        config:5:23: operators[4]: unknown field 'parse_form', did you mean 'parse_from'?
        config:6:31: operators[5]::regex: expected a regular expression, found '(x': unclosed group
        config:6:41: operators[5]::if: the expression can't be read at character 13: expected a value, found the end
        config:7:31: operators[6]: regex has no named capture groups, such as (?P<message>.*)
        config:8:3: operators[7]: missing required field `regex`
        config:9:50: operators[8]::layout_type: unknown value 'gotme', did you mean 'gotime'?
        config:10:34: operators[9]::timestamp: missing required field `parse_from`
        config:10:43: operators[9]::timestamp: layout can't be read: the layout '%Q' has the directive '%Q', which does not exist; there are %Y %m %d %H %M %S %L %f %s %b %a %p %z %Z and others
        config:10:60: operators[9]::severity: missing required field `parse_from`
        config:10:70: operators[9]::severity: mapping can't be read: there is no severity 'eror', did you mean 'error'?
        config:11:22: operators[10]::from: expected a field such as body.user, attributes["log.file.path"] or resource, found 'body[x]': a name in brackets needs quotes
        config:12:3: operators[11]: missing required field `combine_field`
        config:12:37: operators[11]: max_batch_size must be positive
        config:12:56: warning: operators[11]: is_first_entry has the name 'bdy', which no entry has: it is nothing, did you mean 'body'?
        config:13:3: operators[12]: one of is_first_entry and is_last_entry must be set
        config:14:27: operators[13]::routes[0]: missing required field `output`
        config:15:33: operators[14]: delimiter must be a single character
        config:16:3: operators[15]: missing required field `header`, or `header_attribute`
        config:17:35: operators[16]::protocol: unknown value 'rfc5425', did you mean 'rfc5424'?
        config:18:35: operators[17]::location: expected a location such as Europe/Berlin, UTC or Local, found 'Mars/Base', which is not in this machine's time zone database (/usr/share/zoneinfo)
        config:19:39: operators[18]: delimiter and pair_delimiter can't be the same
        config:20:39: operators[19]: parse_to must be a field such as body or attributes.list: without a header the result is a list
        config:21:50: operators[20]: regex_name 'ansi' does not exist: there is ansi_control_sequences
        config:22:3: operators[21]: missing required field `expr`
        config:22:30: operators[21]: drop_ratio must be from 0.0 to 1.0
        config:23:26: operators[22]: field must be within the body, such as body.inner
        config:24:10: operators[23]: operator 'file_output' is an output: use an exporter (such as file), or the operator 'filter' to drop entries
        config:25:10: operators[24]: operator 'otelcol' is not supported
        config:26:33: operators[25]::on_error: unknown value 'sned', did you mean 'send'?
    "#]].assert_eq(&problems("- {}
- type: jsonparser
- type: file_input
- {type: add, parse_form: x}
- {type: json_parser, parse_form: body}
- {type: regex_parser, regex: '(x', if: 'body matches'}
- {type: regex_parser, regex: 'x'}
- {type: regex_parser}
- {type: time_parser, layout: '%Q', layout_type: gotme}
- {type: json_parser, timestamp: {layout: '%Q'}, severity: {mapping: {eror: x}}}
- {type: move, from: 'body[x]'}
- {type: recombine, max_batch_size: 0, is_first_entry: 'bdy == 1'}
- {type: recombine, combine_field: body}
- {type: router, routes: [{expr: 'true'}]}
- {type: csv_parser, delimiter: ab}
- {type: csv_parser}
- {type: syslog_parser, protocol: rfc5425}
- {type: syslog_parser, location: Mars/Base}
- {type: key_value_parser, delimiter: ' ', pair_delimiter: ' '}
- {type: json_array_parser, parse_to: attributes}
- {type: regex_replace, field: body, regex_name: ansi}
- {type: filter, drop_ratio: 2}
- {type: flatten, field: body}
- {type: file_output}
- {type: otelcol}
- {type: json_parser, on_error: sned}
"));
    // Ways between operators.
    expect![[r#"
        config:3:20: operators[2]: id 'a' is given to two operators
    "#]]
    .assert_eq(&problems(
        "- {type: noop, output: nop}
- {type: noop, id: a}
- {type: noop, id: a}
",
    ));
    expect![[r#"
        config:1:50: operators[0]::routes[0]: output names the operator 'ends', which does not exist, did you mean 'end'?
        config:1:67: operators[0]: default names the operator 'else', which does not exist
    "#]].assert_eq(&problems("- {type: router, routes: [{expr: 'true', output: ends}], default: else}
- {type: noop, id: end}
"));
    expect![[r#"
        config:2:3: operators[1]: the operators send to each other in a circle: a, b
    "#]]
    .assert_eq(&problems(
        "- {type: noop, id: first}
- {type: noop, id: a, output: b}
- {type: noop, id: b, output: a}
",
    ));
    assert_eq!(
        problems("- {type: noop, output: noop1}\n- {type: noop}"),
        ""
    );
}
