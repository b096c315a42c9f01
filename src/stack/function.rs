//! One function of a stack file: the fields of a spec, by the names that stack files have for them.
//!
//! What a spec's fields are, and of what kind, is told by [`SpecDraft`] itself: a new one is read, written and compared
//! without a line here.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::yaml::Texts;
use crate::function::{Invalid, Spec, SpecDraft};

/// Words in the names of a spec's fields that stack files have others for.
const WORDS: [(&str, &str); 3] = [("env_process", "fprocess"), ("env_vars", "environment"), ("read_only", "readonly")];

/// Keys that only `faas-cli build` reads.
const BUILD: [&str; 9] = [
    "lang",
    "handler",
    "registry_auth",
    "skip_build",
    "build_args",
    "build_options",
    "build_secrets",
    "copy",
    "platforms",
];

const NAMESPACE: &str = "namespace";
const ENVIRONMENT: &str = "env_vars";
const ENVIRONMENT_FILE: &str = "environment_file";

/// Every field of a spec as it is when nothing was said, in order.
static UNSAID: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| fields(&SpecDraft::default()));

/// The fields of a spec in their order, with their values in JSON. A spec is plain data: it has such a form.
fn fields(spec: &SpecDraft) -> Vec<(String, Value)> {
    let text = serde_json::to_string(spec).unwrap_or_default();
    serde_json::from_str::<Ordered>(&text).unwrap_or_default().0
}

/// The key that a stack file has for a field.
fn key_of(field: &str) -> String {
    WORDS.iter().fold(field.to_owned(), |key, (ours, theirs)| key.replace(ours, theirs))
}

/// What a spec asks for, by the keys of stack files and in their order; what is empty is left out.
#[must_use]
pub fn lines(spec: &SpecDraft) -> Vec<(String, Value)> {
    let said = fields(spec).into_iter().zip(UNSAID.iter()).filter(|(field, unsaid)| field.1 != unsaid.1);
    said.map(|((field, value), _)| (key_of(&field), value)).collect()
}

/// The entries of a JSON object in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ordered(Vec<(String, Value)>);

impl Ordered {
    /// A function as a stack file has it.
    pub(super) fn of(namespace: &str, spec: &Spec) -> Self {
        let mut lines = lines(spec);
        lines.insert(lines.len().min(1), (NAMESPACE.to_owned(), namespace.into()));
        Self(lines)
    }
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Entries).map(Self)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        std::iter::from_fn(|| entries.next_entry().transpose()).collect()
    }
}

/// A function as it is read.
#[derive(Debug, Default)]
pub(super) struct Function {
    pub(super) namespace: String,
    pub(super) environment_file: Vec<String>,
    /// By the names that a spec has for them.
    fields: Map<String, Value>,
}

impl Function {
    /// Adds variables; they beat those that are there.
    pub(super) fn extend_environment(&mut self, variables: Texts) {
        let environment = self.fields.entry(ENVIRONMENT).or_insert_with(|| Map::new().into());
        if let Value::Object(environment) = environment {
            environment.extend(texts(variables));
        }
    }

    /// What it asks for, unchecked. Files of variables were merged into the environment before.
    pub(super) fn draft(self) -> Result<SpecDraft, Invalid> {
        serde_json::from_value(Value::Object(self.fields)).map_err(|error| Invalid(error.to_string()))
    }
}

fn texts(entries: Texts) -> impl Iterator<Item = (String, Value)> {
    entries.into_iter().map(|(name, text)| (name, text.unwrap_or_default().into()))
}

impl<'de> Deserialize<'de> for Function {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FunctionVisitor)
    }
}

struct FunctionVisitor;

impl<'de> Visitor<'de> for FunctionVisitor {
    type Value = Function;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Function, A::Error> {
        let mut function = Function::default();
        while let Some(Key(key)) = entries.next_key()? {
            match key.as_str() {
                NAMESPACE => function.namespace = entries.next_value::<Option<String>>()?.unwrap_or_default(),
                ENVIRONMENT_FILE => {
                    function.environment_file = entries.next_value::<Option<Vec<String>>>()?.unwrap_or_default();
                }
                key if BUILD.contains(&key) => drop(entries.next_value::<IgnoredAny>()?),
                key => {
                    let Some((field, unsaid)) = field_of(key) else { continue };
                    let value = read_as(unsaid, &mut entries)?;
                    if !value.is_null() {
                        function.fields.insert(field.clone(), value);
                    }
                }
            }
        }
        Ok(function)
    }
}

/// Reads a value of the kind that a field has. YAML is asked for that kind, so that `1.0` can be text.
fn read_as<'de, A: MapAccess<'de>>(unsaid: &Value, from: &mut A) -> Result<Value, A::Error> {
    Ok(match unsaid {
        Value::String(_) => from.next_value::<Option<String>>()?.into(),
        Value::Bool(_) => from.next_value::<Option<bool>>()?.into(),
        Value::Number(_) => from.next_value::<Option<u64>>()?.into(),
        Value::Array(_) => from.next_value::<Option<Vec<String>>>()?.into(),
        Value::Object(_) => from.next_value::<Option<Texts>>()?.map(|all| texts(all).collect::<Map<_, _>>()).into(),
        // Resources: an empty quantity is as good as none, and none at all are no resources.
        Value::Null => {
            let mut quantities = from.next_value::<Option<Texts>>()?.unwrap_or_default();
            quantities.retain(|_, quantity| quantity.as_ref().is_some_and(|quantity| !quantity.is_empty()));
            (!quantities.is_empty()).then(|| texts(quantities).collect::<Map<_, _>>()).into()
        }
    })
}

/// The field of a spec that a key stands for, as it is when nothing was said.
fn field_of(key: &str) -> Option<&'static (String, Value)> {
    UNSAID.iter().find(|(field, _)| key_of(field) == key)
}

/// A key that is known. It is refused while it is read, so that the error has its line.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of a function")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key, E> {
        let own = [NAMESPACE, ENVIRONMENT_FILE];
        if own.contains(&key) || BUILD.contains(&key) || field_of(key).is_some() {
            return Ok(Key(key.to_owned()));
        }
        let fields = UNSAID.iter().map(|(field, _)| key_of(field));
        let known: Vec<_> = fields.chain(own.into_iter().chain(BUILD).map(str::to_owned)).collect();
        Err(E::custom(format!("unknown field `{key}`, expected one of `{}`", known.join("`, `"))))
    }
}
