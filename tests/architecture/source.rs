//! Reading a source as far as its paths go: no comments, no texts, no tests.

/// A source without its comments, its texts and its tests.
pub(crate) fn product_code(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_text(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if c == '"' {
            text_length(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            rest[2..].find('\'').map_or(rest.len(), |end| end + 3)
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    let inline_tests = code.match_indices("#[cfg(test)]\nmod ").find(|(at, found)| {
        let name = &code[at + found.len()..];
        name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start().starts_with('{')
    });
    match inline_tests {
        Some((at, _)) => code[..at].to_owned(),
        None => code,
    }
}

/// How many hashes a raw text begins with, if this is one.
fn raw_text(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a text with its quotes.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == '"' && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// Every path in the code, with groups written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
pub(crate) fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(begin) = rest.find(|c: char| c.is_alphanumeric() || c == '_') {
        rest = tree(&rest[begin..], &[], &mut found);
    }
    found
}

/// Reads one path with its groups and returns what comes after it.
fn tree<'a>(code: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    let mut path = prefix.to_vec();
    path.push(code[..end].to_owned());
    let after = &code[end..];
    let Some(next) = after.strip_prefix("::") else {
        found.push(path);
        return after;
    };
    let Some(mut group) = next.strip_prefix('{') else {
        if next.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return tree(next, &path, found);
        }
        found.push(path);
        return next;
    };
    loop {
        group = group.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '*');
        if let Some(after) = group.strip_prefix('}') {
            return after;
        }
        if !group.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return group;
        }
        group = tree(group, &path, found);
        // `a as b`: the new name is no path.
        if let Some(renamed) = group.strip_prefix(" as ") {
            group = renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        }
    }
}
