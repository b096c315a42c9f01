//! What a crate says of its licence: an expression of SPDX's, as `(MIT OR Apache-2.0) AND Unicode-3.0`.

/// Whether an expression is met by these licences alone.
///
/// # Errors
/// When it can't be read.
pub(crate) fn is_met(expression: &str, allowed: &[String]) -> Result<bool, String> {
    // Before SPDX's words, crates wrote a slash.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    let met = reader.either()?;
    match reader.words {
        [] => Ok(met),
        [word, ..] => Err(format!("{expression}: {word} stands where it has no meaning")),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Reader<'_> {
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.words = &self.words[1..];
        }
        is_next
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut met = self.all()?;
        while self.take("OR") {
            met |= self.all()?;
        }
        Ok(met)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut met = self.one()?;
        while self.take("AND") {
            met &= self.one()?;
        }
        Ok(met)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let met = self.either()?;
            return if self.take(")") { Ok(met) } else { Err("a bracket is not closed".to_owned()) };
        }
        let Some((name, rest)) = self.words.split_first() else { return Err("it ends too early".to_owned()) };
        self.words = rest;
        let name = if self.take("WITH") {
            let Some((exception, rest)) = self.words.split_first() else { return Err("WITH nothing".to_owned()) };
            self.words = rest;
            format!("{name} WITH {exception}")
        } else {
            (*name).to_owned()
        };
        Ok(self.allowed.contains(&name))
    }
}

#[test]
fn a_licence_is_met_by_one_of_those_it_leaves_open_and_all_of_those_it_asks_for() {
    let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("GPL-3.0-only/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT AND ISC OR GPL-3.0-only", true),
        ("GPL-3.0-only OR MIT AND BSL-1.0", false),
        ("(MIT OR GPL-3.0-only) AND ISC", true),
        ("(MIT OR ISC) AND GPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
    ] {
        assert_eq!(is_met(expression, &allowed), Ok(met), "{expression}");
    }
    for unreadable in ["", "MIT OR", "(MIT", "MIT ISC", "MIT WITH", "MIT)"] {
        assert!(is_met(unreadable, &allowed).is_err(), "{unreadable}");
    }
}
