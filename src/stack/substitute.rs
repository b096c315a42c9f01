//! `${NAME}` in a stack file, filled in as `faas-cli` does it: on the text, before it is read as YAML.
//!
//! `${NAME}` is the variable or nothing, `${NAME:-word}` and `${NAME:=word}` are the word when it is unset or empty,
//! `${NAME-word}` and `${NAME=word}` when it is unset; a word may hold further ones. `$${` is a plain `${`.

/// How deep words may lie in words: more is a mistake, and would use up the stack.
const DEPTH_MAX: u32 = 32;

/// Looks a variable up; an unset one is none.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Fills in every variable of a text.
///
/// # Errors
/// A sentence with the line of what can't be understood.
pub(super) fn substitute(text: &str, variables: Variables<'_>) -> Result<String, String> {
    let mut rest = text;
    expand(&mut rest, 0, variables).map_err(|reason| {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        format!("line {line}: {reason}")
    })
}

/// Expands to the end, or, in a word so many words deep, to the brace that closes it. `rest` is left where it stopped.
fn expand(rest: &mut &str, depth: u32, variables: Variables<'_>) -> Result<String, String> {
    let inside = depth > 0;
    let mut done = String::new();
    loop {
        let stop = rest.find(|c| c == '$' || (inside && c == '}')).unwrap_or(rest.len());
        done += &rest[..stop];
        *rest = &rest[stop..];
        if let Some(after) = rest.strip_prefix("$${") {
            done += "${";
            *rest = after;
        } else if rest.starts_with("${") {
            done += &variable(rest, depth, variables)?;
        } else if let Some(after) = rest.strip_prefix('$') {
            done.push('$');
            *rest = after;
        } else if let Some(after) = rest.strip_prefix('}') {
            *rest = after;
            return Ok(done);
        } else if inside {
            return Err("a ${ is not closed with }".to_owned());
        } else {
            return Ok(done);
        }
    }
}

/// One `${...}`, which `rest` begins with.
fn variable(rest: &mut &str, depth: u32, variables: Variables<'_>) -> Result<String, String> {
    if depth > DEPTH_MAX {
        return Err(format!("a ${{ lies in more than {DEPTH_MAX} others"));
    }
    let after = &rest[2..];
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    let (name, form) = after.split_at(end);
    let value = variables(name);
    if let Some(after) = form.strip_prefix('}').filter(|_| !name.is_empty()) {
        *rest = after;
        return Ok(value.unwrap_or_default());
    }
    let unset_or_empty = form.strip_prefix(":-").or_else(|| form.strip_prefix(":="));
    let unset = form.strip_prefix('-').or_else(|| form.strip_prefix('='));
    let Some(word) = unset_or_empty.or(unset).filter(|_| !name.is_empty()) else {
        let shown: String = rest.chars().take_while(|c| !matches!(c, '}' | '\n')).take(40).collect();
        return Err(format!(
            "{shown}: only ${{NAME}}, ${{NAME:-word}} and ${{NAME-word}} are filled in; $${{ is a plain ${{"
        ));
    };
    let mut word = word;
    let default = expand(&mut word, depth + 1, variables)?;
    *rest = word;
    Ok(match value {
        Some(value) if unset_or_empty.is_none() || !value.is_empty() => value,
        _ => default,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        substitute(text, &|name| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_filled_in_where_they_stand() {
        for (text, expected) in [
            ("", ""),
            ("plain $A } $ {A}", "plain $A } $ {A}"),
            ("a: ${A}/${A}\nb: ${NONE}.", "a: one/one\nb: ."),
            ("${A:-x} ${EMPTY:-x} ${NONE:-x} ${NONE:=x}", "one x x x"),
            ("${A-x} ${EMPTY-x} ${NONE-x} ${NONE=x}", "one  x x"),
            ("${NONE:-${A}-${NONE:-deep}}!", "one-deep!"),
            ("${NONE:-docker.io/me/x:1}", "docker.io/me/x:1"),
            ("$${A} $${NONE:-${A}}", "${A} ${NONE:-one}"),
            ("${NONE:-}", ""),
        ] {
            assert_eq!(filled(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        for (text, line, reason) in [
            ("a\nb: ${A", "line 2", "${A: only"),
            ("${A^^}", "line 1", "${A^^: only"),
            ("\n\n${}", "line 3", "only"),
            ("\n${NONE:-x", "line 2", "not closed"),
            (&"${NONE:-".repeat(100_000), "line 1", "in more than 32 others"),
        ] {
            let error = filled(text).unwrap_err();
            assert!(error.starts_with(line) && error.contains(reason), "{text:?}: {error}");
        }
    }
}
