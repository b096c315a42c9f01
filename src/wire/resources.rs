//! Limits and requests: memory, cpu, disk, and what vendors name beside them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::lenient::VENDORS;
use crate::function::Resources;

/// Limits or requests; an empty quantity is as good as none, and none at all are no resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FunctionResources(pub Option<Resources>);

impl FunctionResources {
    /// Whether no quantity is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The quantities by their names.
    #[must_use]
    pub fn quantities(&self) -> BTreeMap<String, String> {
        self.0.as_ref().map(Resources::quantities).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for FunctionResources {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_struct("FunctionResources", &["memory", "cpu", "ephemeral-storage", VENDORS], Quantities)
    }
}

struct Quantities;

impl<'de> Visitor<'de> for Quantities {
    type Value = FunctionResources;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of quantities")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<FunctionResources, A::Error> {
        let mut quantities = BTreeMap::new();
        while let Some((name, quantity)) = entries.next_entry()? {
            quantities.insert(name, quantity);
        }
        Ok(FunctionResources(Resources::of(quantities)))
    }
}

impl ToSchema for FunctionResources {
    fn name() -> Cow<'static, str> {
        "FunctionResources".into()
    }
}

impl PartialSchema for FunctionResources {
    fn schema() -> RefOr<Schema> {
        let vendors = ["nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu"].map(|name| (name, "Kept and given back"));
        let known = [
            ("memory", "Bytes, such as 128Mi"),
            ("cpu", "Cores, such as 500m"),
            ("ephemeral-storage", "Bytes of the machine's disk, such as 1Gi"),
        ];
        let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(
            "Quantities as Kubernetes writes them. Those of vendors, any name with a domain before it, are kept and given \
             back.",
        ));
        let quantity = |object: ObjectBuilder, (name, about): (&str, &str)| {
            let text = ObjectBuilder::new()
                .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
                .description(Some(about));
            object.property(name, text)
        };
        known.into_iter().chain(vendors).fold(object, quantity).into()
    }
}
