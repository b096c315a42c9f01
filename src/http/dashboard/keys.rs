//! What may be set of a function by labels and annotations, with what it does: out of the documentation's own tables, so that
//! the page's help and the document say the same.

use serde::Serialize;

const DOCUMENT: &str = include_str!("../../../docs/functions.md");

/// The two checks whose keys the document tells once.
const CHECKS: [&str; 2] = ["com.openfaas.ready.http", "com.openfaas.health.http"];

/// A label or an annotation that actord acts on.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Key {
    key: String,
    kind: &'static str,
    default: String,
    text: String,
}

/// All of them, as JSON.
pub(super) fn json() -> Vec<u8> {
    // Texts have a JSON form.
    serde_json::to_vec(&all(DOCUMENT)).unwrap_or_default()
}

fn all(document: &str) -> Vec<Key> {
    ["label", "annotation"].into_iter().flat_map(|kind| table(document, kind)).collect()
}

/// The rows of the table whose first column is called so.
fn table(document: &str, kind: &'static str) -> Vec<Key> {
    let head = format!("| {kind} | default |");
    let rows = document.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    rows.take_while(|line| line.starts_with('|')).flat_map(|line| row(line, kind)).collect()
}

/// A row may name several keys.
fn row(line: &str, kind: &'static str) -> Vec<Key> {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [names, default, text] = cells.as_slice() else { return Vec::new() };
    let names = names.split('`').skip(1).step_by(2).flat_map(|name| match name.strip_prefix('…') {
        Some(end) => CHECKS.iter().map(|check| format!("{check}{end}")).collect(),
        None => vec![name.to_owned()],
    });
    let key = |key| Key { key, kind, default: plain(default), text: plain(text) };
    names.map(key).collect()
}

/// Without the marks of links and of code.
fn plain(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, (name, after))) =
        rest.split_once('[').and_then(|(before, link)| Some((before, link.split_once("](")?)))
    {
        out.push_str(before);
        out.push_str(name);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_keys_its_default_and_what_they_do_in_plain_text() {
        let document = "| label | default | what |\n| --- | --- | --- |\n| `a.b` | setting `x` | See [the `y`](y.md#z), or [w](w) |\n\n\
            | annotation | default | what |\n| --- | --- | --- |\n| `c`, `d` | `1`, `2` | Both |\n| `….period` | `2` | Of either |\nEnd";
        let key = |key: &str, kind, default: &str, text: &str| Key {
            key: key.to_owned(),
            kind,
            default: default.to_owned(),
            text: text.to_owned(),
        };
        let expected = [
            key("a.b", "label", "setting x", "See the y, or w"),
            key("c", "annotation", "1, 2", "Both"),
            key("d", "annotation", "1, 2", "Both"),
            key("com.openfaas.ready.http.period", "annotation", "2", "Of either"),
            key("com.openfaas.health.http.period", "annotation", "2", "Of either"),
        ];
        assert_eq!(all(document), expected);
    }

    #[test]
    fn each_key_of_the_document_is_told_with_what_it_does() {
        let all = all(DOCUMENT);
        let rows =
            DOCUMENT.lines().filter(|line| line.starts_with("| `com.openfaas.") || line.starts_with("| `actord."));
        for name in rows.map(|line| line.split('`').nth(1).unwrap()) {
            assert!(all.iter().any(|key| key.key == name), "{name}");
        }
        for (name, kind) in [
            ("com.openfaas.scale.min", "label"),
            ("com.openfaas.health.http.failureThreshold", "annotation"),
            ("com.openfaas.retry.max_wait", "annotation"),
            ("actord.auth", "annotation"),
            ("schedule", "annotation"),
            ("topic", "annotation"),
        ] {
            assert!(all.iter().any(|key| key.key == name && key.kind == kind), "{name}");
        }
        for Key { key, text, default, .. } in &all {
            assert!(!text.is_empty() && !default.is_empty(), "{key}");
            assert!(![text, default].iter().any(|text| text.contains("](") || text.contains('`')), "{key}: {text}");
        }
    }
}
