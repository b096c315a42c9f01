//! JSON as leniently as Go reads it: keys in any case, `null` for anything that was left out, unknown keys ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::function::Invalid;

/// A JSON object whose fields are taken out one by one.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a request body. `null` is an object without fields.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Invalid> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(Value::Null) => Ok(Self::default()),
            Ok(_) => Err(Invalid("the request body is not a JSON object".into())),
            Err(error) => Err(Invalid(format!("the request body is not valid JSON: {error}"))),
        }
    }

    /// The field's value, if there is one and it is not `null`. A key in the exact case goes first.
    fn take(&mut self, key: &str) -> Option<Value> {
        let value = self.0.remove(key).or_else(|| {
            let other = self.0.keys().find(|other| other.eq_ignore_ascii_case(key))?.clone();
            self.0.remove(&other)
        });
        value.filter(|value| !value.is_null())
    }

    /// A text; empty if it was left out.
    pub(super) fn text(&mut self, key: &str) -> Result<String, Invalid> {
        self.take(key).map_or_else(|| Ok(String::new()), |value| text(key, value))
    }

    /// A yes or no; no if it was left out.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool, Invalid> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(expected(key, "true or false")),
        }
    }

    /// A whole number that is not negative, if it was given.
    pub(super) fn count(&mut self, key: &str) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.take(key) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| expected(key, "a whole number that is not negative"))
    }

    /// A list of texts; empty if it was left out.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>, Invalid> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.into_iter().map(|item| text(key, item)).collect(),
            Some(_) => Err(expected(key, "a list of strings")),
        }
    }

    /// Texts by name; empty if it was left out. These keys keep their case.
    pub(super) fn map(&mut self, key: &str) -> Result<BTreeMap<String, String>, Invalid> {
        match self.take(key) {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(entries)) => {
                entries.into_iter().map(|(name, value)| Ok((name, text(key, value)?))).collect()
            }
            Some(_) => Err(expected(key, "an object of strings")),
        }
    }

    /// Texts of the fields that nobody took, of those that are `wanted`. These keys keep their case.
    pub(super) fn remaining(self, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, String>, Invalid> {
        let wanted = self.0.into_iter().filter(|(key, _)| wanted(key));
        wanted.map(|(key, value)| text(&key, value).map(|value| (key, value))).collect()
    }

    /// A list of objects; empty if it was left out.
    pub(super) fn objects(&mut self, key: &str) -> Result<Vec<Self>, Invalid> {
        let one = |item| match item {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null => Ok(Self::default()),
            _ => Err(expected(key, "a list of objects")),
        };
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.into_iter().map(one).collect(),
            Some(_) => Err(expected(key, "a list of objects")),
        }
    }

    /// An object within this one; one without fields if it was left out.
    pub(super) fn object(&mut self, key: &str) -> Result<Self, Invalid> {
        match self.take(key) {
            None => Ok(Self::default()),
            Some(Value::Object(fields)) => Ok(Self(fields)),
            Some(_) => Err(expected(key, "an object")),
        }
    }
}

fn text(key: &str, value: Value) -> Result<String, Invalid> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        _ => Err(expected(key, "a string")),
    }
}

fn expected(key: &str, what: &str) -> Invalid {
    Invalid(format!("invalid field {key:?}: expected {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_found_in_any_case_and_the_exact_one_goes_first() {
        assert_eq!(fields(r#"{"ENVPROCESS":"cat"}"#).text("envProcess").unwrap(), "cat");
        assert_eq!(fields(r#"{"Image":"a","image":"b"}"#).text("image").unwrap(), "b");
    }

    #[test]
    fn null_and_absence_are_the_zero_value_at_every_depth() {
        let mut all = fields(r#"{"a":null,"b":null,"c":null,"d":{"k":null},"e":[null],"f":null}"#);
        assert_eq!(all.text("a").unwrap(), "");
        assert!(!all.flag("b").unwrap());
        assert!(all.texts("c").unwrap().is_empty());
        assert_eq!(all.map("d").unwrap()["k"], "");
        assert_eq!(all.texts("e").unwrap(), [""]);
        assert_eq!(all.object("f").unwrap().count("absent").unwrap(), None);
        assert!(Fields::parse(b"null").is_ok());
    }

    #[test]
    fn the_keys_of_a_map_keep_their_case() {
        assert!(fields(r#"{"labels":{"App":"x"}}"#).map("labels").unwrap().contains_key("App"));
    }

    #[test]
    fn what_nobody_took_is_read_if_it_is_wanted() {
        let mut some = fields(r#"{"a":"1","B/x":"2","c/y":null,"d":5}"#);
        some.text("a").unwrap();
        let expected = [("B/x", "2"), ("c/y", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(some.remaining(|key| key.contains('/')).unwrap(), expected.into());
        assert!(fields(r#"{"d/z":5}"#).remaining(|_| true).unwrap_err().0.contains("d/z"));
    }

    #[test]
    fn a_value_of_another_type_is_refused_and_named() {
        let refused = fields(r#"{"image":5}"#).text("image").unwrap_err();
        assert!(refused.0.contains("\"image\"") && refused.0.contains("a string"), "{refused}");
        for bad in ["-1", "1.5", "\"1\"", "true", "[]"] {
            assert!(fields(&format!(r#"{{"n":{bad}}}"#)).count("n").is_err(), "{bad}");
        }
        assert!(fields(r#"{"m":{"k":1}}"#).map("m").is_err());
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for bad in ["", "{", "[]", "5", "\"x\"", "{}x"] {
            assert!(Fields::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
