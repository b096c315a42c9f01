//! Challenges: the `WWW-Authenticate` fields of an answer -> the ways to log in that it names, the strongest first. Pure.
//!
//! What is read is RFC 9110, section 11, and what servers make of it. A field may be repeated, and each may name several
//! schemes, in any case, with parameters quoted or not, or with one token68. What can't be read is skipped: a scheme that
//! is understood beside it is still of use.

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// With a token that a token server gives: for a name and a password, for an identity token, or for nothing.
    Bearer(TokenRealm),
    /// With a name and a password in every request.
    Basic,
    /// By a scheme that is not served here.
    Other(String),
}

/// Where tokens are had, and for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TokenRealm {
    /// The address of the token server.
    pub(crate) realm: String,
    /// What the token server calls the registry; empty where the challenge does not say.
    pub(crate) service: String,
    /// What the token has to allow, with spaces in between; empty where the challenge does not say.
    pub(crate) scope: String,
}

/// A scheme with its parameters, their names in lower case.
struct Scheme {
    name: String,
    params: Vec<(String, String)>,
}

/// The challenges in these fields: Bearer before Basic before those that are not served, else in their order.
pub(crate) fn read<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut found: Vec<_> = fields.flat_map(schemes).map(Challenge::from).collect();
    found.sort_by_key(|challenge| match challenge {
        Challenge::Bearer(_) => 0,
        Challenge::Basic => 1,
        Challenge::Other(_) => 2,
    });
    found
}

impl From<Scheme> for Challenge {
    fn from(scheme: Scheme) -> Self {
        let param = |name: &str| {
            let found = scheme.params.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        match scheme.name.to_ascii_lowercase().as_str() {
            "basic" => Self::Basic,
            // Without a realm there is nowhere to ask for a token.
            "bearer" if !param("realm").is_empty() => {
                Self::Bearer(TokenRealm { realm: param("realm"), service: param("service"), scope: param("scope") })
            }
            _ => Self::Other(scheme.name),
        }
    }
}

/// The schemes of one field. A comma parts schemes and parameters alike: a name before `=` is a parameter's.
fn schemes(field: &str) -> Vec<Scheme> {
    let mut found: Vec<Scheme> = Vec::new();
    let mut rest = Rest(field);
    loop {
        rest.take(|c| c == ',' || is_space(c));
        let name = rest.take(is_token);
        if name.is_empty() {
            if rest.0.is_empty() {
                return found;
            }
            rest.take(|c| c != ',');
        } else if rest.equals() {
            let value = rest.value();
            if let Some(scheme) = found.last_mut() {
                scheme.params.push((name.to_ascii_lowercase(), value));
            }
        } else {
            found.push(Scheme { name: name.to_owned(), params: Vec::new() });
            rest.skip_token68();
        }
    }
}

/// What of a field is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes the characters from here on that are of a kind.
    fn take(&mut self, of_kind: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.0.split_at(self.0.find(|c| !of_kind(c)).unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes an equals sign with the spaces around it, if one is next.
    fn equals(&mut self) -> bool {
        let Some(rest) = self.0.trim_start_matches(is_space).strip_prefix('=') else { return false };
        self.0 = rest.trim_start_matches(is_space);
        true
    }

    /// Takes a parameter's value. One without quotes ends at a comma or space: addresses come so, though they should not.
    fn value(&mut self) -> String {
        let Some(quoted) = self.0.strip_prefix('"') else {
            return self.take(|c| c != ',' && !is_space(c)).to_owned();
        };
        let (mut value, mut characters) = (String::new(), quoted.chars());
        while let Some(c) = characters.next() {
            match c {
                '"' => break,
                '\\' => value.extend(characters.next()),
                _ => value.push(c),
            }
        }
        self.0 = characters.as_str();
        value
    }

    /// Takes what a scheme carries instead of parameters, if it is that: `YIIa/+=`, up to a comma or the end.
    fn skip_token68(&mut self) {
        let rest = self.0.trim_start_matches(is_space);
        let end = rest.find(',').unwrap_or(rest.len());
        let word = rest[..end].trim_end_matches(is_space);
        if !word.is_empty() && word.trim_end_matches('=').chars().all(|c| is_token(c) || c == '/') {
            self.0 = &rest[end..];
        }
    }
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REALM: &str = "https://auth.lan/token";

    fn bearer(realm: &str, service: &str, scope: &str) -> Challenge {
        let [realm, service, scope] = [realm, service, scope].map(str::to_owned);
        Challenge::Bearer(TokenRealm { realm, service, scope })
    }

    fn other(name: &str) -> Challenge {
        Challenge::Other(name.to_owned())
    }

    #[test]
    fn a_challenge_is_read_in_every_form() {
        let full = || bearer(REALM, "reg.lan", "repository:a/b:pull");
        let realm = || bearer(REALM, "", "");
        let table: &[(&[&str], &[Challenge])] = &[
            (&[], &[]),
            (&["", " , ,"], &[]),
            (&["Basic"], &[Challenge::Basic]),
            (&[r#"Basic realm="x""#], &[Challenge::Basic]),
            (&[r#"bAsIc REALM = "a, Bearer b" , charset="UTF-8""#], &[Challenge::Basic]),
            (&[r#"Bearer realm="https://auth.lan/token",service="reg.lan",scope="repository:a/b:pull""#], &[full()]),
            (&[r#"BEARER Scope="repository:a/b:pull", Service="reg.lan", Realm="https://auth.lan/token""#], &[full()]),
            (
                &["Bearer\trealm = \"https://auth.lan/token\"\t,\t, service=reg.lan,scope=repository:a/b:pull,"],
                &[full()],
            ),
            // Without commas, or without quotes: not legal, and seen.
            (&[r#"Bearer realm="https://auth.lan/token" service="reg.lan" scope="repository:a/b:pull""#], &[full()]),
            (&["Bearer realm=https://auth.lan/token"], &[realm()]),
            (&[r#"Bearer   realm="https:\/\/auth.lan/\token""#], &[realm()]),
            (&[r#"Bearer realm="https://auth.lan/token"#], &[realm()]),
            (&[r#"Bearer realm="https://auth.lan/token",error="invalid_token""#], &[realm()]),
            (
                &[r#"Bearer realm="https://auth.lan/token?a=1,2&b=c",scope="""#],
                &[bearer("https://auth.lan/token?a=1,2&b=c", "", "")],
            ),
            (
                &[r#"Bearer realm="https://auth.lan/token",scope="repository:a:pull repository:b:pull,push""#],
                &[bearer(REALM, "", "repository:a:pull repository:b:pull,push")],
            ),
            // Several, in one field and in several, the strongest not first.
            (&[r#"Basic realm="x", Bearer realm="https://auth.lan/token""#], &[realm(), Challenge::Basic]),
            (&[r#"Basic realm="x""#, r#"Bearer realm="https://auth.lan/token""#], &[realm(), Challenge::Basic]),
            (&["Negotiate", "NTLM", "Basic realm=x"], &[Challenge::Basic, other("Negotiate"), other("NTLM")]),
            (&["Negotiate, Basic"], &[Challenge::Basic, other("Negotiate")]),
            (&[r#"Negotiate YIIa/b+c==, Bearer realm="https://auth.lan/token""#], &[realm(), other("Negotiate")]),
            (&["Negotiate YIIa=,Basic realm=x"], &[Challenge::Basic, other("Negotiate")]),
            (
                &[r#"Digest realm="x", qop="auth, auth-int", nonce="a\"b", Basic realm="x""#],
                &[Challenge::Basic, other("Digest")],
            ),
            // What can't be read is skipped.
            (&["Bearer", "Bearer service=x"], &[other("Bearer"), other("Bearer")]),
            (&["realm=x, Basic"], &[Challenge::Basic]),
            (&[r#""lost", Basic"#], &[Challenge::Basic]),
            (&["Über realm=x, Basic"], &[Challenge::Basic]),
        ];
        for (fields, expected) in table {
            assert_eq!(read(fields.iter().copied()), *expected, "{fields:?}");
        }
    }
}
