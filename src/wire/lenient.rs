//! JSON as leniently as Go reads it: keys in any case, `null` for anything that was left out, unknown keys ignored.
//!
//! ```text
//! body -> serde_json::Value -> Lenient, a Deserializer: each struct tells it the keys it knows -> a type of `wire`
//! ```
//! Serde hands a struct's own keys to `deserialize_struct`, so there is no list of keys beside the types. Only those are
//! found in any case; the keys of a map stay as they are. What has another type is refused, with the field's name.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::function::{Invalid, Resources};

/// A struct that knows a key of this name gets all entries whose keys are those of vendors' resources.
pub(super) const VENDORS: &str = "<domain>/<resource>";

/// Reads a request body. `null` is an object without fields.
///
/// # Errors
/// [`Invalid`] when it is no JSON object, or with the field that has another type than it should.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    match serde_json::from_slice(body) {
        Ok(value @ (Value::Object(_) | Value::Null)) => read_value(&value),
        Ok(_) => Err(Invalid("the request body is not a JSON object".into())),
        Err(error) => Err(Invalid(format!("the request body is not valid JSON: {error}"))),
    }
}

/// Reads what is JSON already.
///
/// # Errors
/// [`Invalid`] with the field that has another type than it should.
pub fn read_value<T: DeserializeOwned>(value: &Value) -> Result<T, Invalid> {
    T::deserialize(Lenient { field: "", value }).map_err(|Refusal(why)| why)
}

/// A value, and the field that it is of.
#[derive(Debug, Clone, Copy)]
struct Lenient<'de> {
    field: &'de str,
    value: &'de Value,
}

/// [`Invalid`], as serde's own types can make one.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Refusal(Invalid);

impl serde::de::Error for Refusal {
    fn custom<T: std::fmt::Display>(why: T) -> Self {
        Self(Invalid(why.to_string()))
    }
}

impl<'de> Lenient<'de> {
    fn expected(self, what: &str) -> Refusal {
        let field = if self.field.is_empty() { String::new() } else { format!("invalid field {:?}: ", self.field) };
        Refusal(Invalid(format!("{field}expected {what}")))
    }

    fn object<V: Visitor<'de>>(self, entries: Vec<(&'de str, Self)>, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_map(MapDeserializer::new(entries.into_iter()))
    }
}

/// The fields that a struct knows, as far as they are there and not `null`. A key in the exact case goes first.
fn known<'de>(entries: &'de Map<String, Value>, fields: &'static [&'static str]) -> Vec<(&'de str, Lenient<'de>)> {
    let mut found = Vec::new();
    for field in fields {
        if *field == VENDORS {
            let vendors = entries.iter().filter(|(key, _)| Resources::is_vendors(key));
            found.extend(vendors.map(|(key, value)| (key.as_str(), Lenient { field: key, value })));
            continue;
        }
        let in_any_case = || entries.iter().find(|(key, _)| key.eq_ignore_ascii_case(field)).map(|(_, value)| value);
        let value = entries.get(*field).or_else(in_any_case).filter(|value| !value.is_null());
        found.extend(value.map(|value| (*field, Lenient { field, value })));
    }
    found
}

impl<'de> Deserializer<'de> for Lenient<'de> {
    type Error = Refusal;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.value {
            Value::Null => self.object(Vec::new(), visitor),
            Value::Object(entries) => self.object(known(entries, fields), visitor),
            _ => Err(self.expected("an object")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            Value::Null => self.object(Vec::new(), visitor),
            Value::Object(entries) => {
                let entry = |(key, value): (&'de String, _)| (key.as_str(), Self { field: self.field, value });
                self.object(entries.iter().map(entry).collect(), visitor)
            }
            _ => Err(self.expected("an object of strings")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let items: &[Value] = match self.value {
            Value::Null => &[],
            Value::Array(items) => items,
            // The only list of another kind is AlertManager's, which is not told what is wrong with it.
            _ => return Err(self.expected("a list of strings")),
        };
        visitor.visit_seq(SeqDeserializer::new(items.iter().map(|value| Self { field: self.field, value })))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            Value::String(text) => visitor.visit_str(text),
            Value::Null => visitor.visit_str(""),
            _ => Err(self.expected("a string")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.value.as_bool().map_or_else(|| Err(self.expected("true or false")), |flag| visitor.visit_bool(flag))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let number = self.value.as_u64().ok_or_else(|| self.expected("a whole number that is not negative"))?;
        visitor.visit_u64(number)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_f64(self.value.as_f64().ok_or_else(|| self.expected("a number"))?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(_) => self.deserialize_bool(visitor),
            Value::Number(_) => self.deserialize_f64(visitor),
            Value::String(_) => self.deserialize_string(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Refusal> for Lenient<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}
