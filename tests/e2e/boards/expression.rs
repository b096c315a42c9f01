//! What an expression of PromQL asks for: its selectors, and the expression with a board's variables filled in.

use std::fmt::Write as _;

/// A metric's name, with what stands in braces behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    pub(super) metric: String,
    pub(super) labels: String,
}

impl Selector {
    /// As a question of its own.
    pub(super) fn text(&self) -> String {
        let Self { metric, labels } = self;
        let mut text = metric.clone();
        if !labels.is_empty() {
            let _ = write!(text, "{{{labels}}}");
        }
        text
    }
}

/// Metrics that come from what is scraped, and the one that Prometheus makes of each scrape. Functions of PromQL and labels
/// begin otherwise.
fn is_metric(word: &str) -> bool {
    let known = ["actord_", "gateway_", "http_request", "provider_http_", "pod_", "process_", "queue_worker_"];
    word == "up" || known.iter().any(|prefix| word.starts_with(prefix))
}

/// Every selector of an expression.
pub(super) fn selectors(expression: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').map_or("", |(_, behind)| behind);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        if is_metric(word) {
            let inner = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (labels, behind) = inner.unwrap_or(("", rest));
            found.push(Selector { metric: word.to_owned(), labels: labels.to_owned() });
            rest = behind;
        }
    }
    found
}

/// The variables that a text names as `$name`.
pub(super) fn variables(text: &str) -> Vec<&str> {
    let names = text.split('$').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    names.collect()
}

/// The text with these in the place of its variables.
pub(super) fn filled(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}

/// The expression without what only lets through what is above nothing: what it looks at has to be there all the same.
pub(super) fn unfiltered(expression: &str) -> &str {
    expression.strip_suffix(" > 0").unwrap_or(expression)
}

#[test]
fn selectors_and_variables_are_found_in_an_expression() {
    let text = r#"sum by (code) (rate(gateway_x_total{code=~"5..",a="up"}[$__rate_interval])) and up == 1 or process_open_fds"#;
    let texts: Vec<_> = selectors(text).iter().map(Selector::text).collect();
    assert_eq!(texts, [r#"gateway_x_total{code=~"5..",a="up"}"#, "up", "process_open_fds"]);
    assert_eq!(variables(r#"x{a="$b.$c"}[$__rate_interval]"#), ["b", "c", "__rate_interval"]);
    assert_eq!(filled("x{a=\"$b.$c\"}", &[("b", "1"), ("c", "2")]), "x{a=\"1.2\"}");
    assert_eq!(unfiltered("(a - b) > 0"), "(a - b)");
}
