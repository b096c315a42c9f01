//! Whose an attachment is: an instance's, or nobody's yet.

use std::fmt;
use std::str::FromStr;

use crate::function::InstanceId;
use crate::host::WarmId;

/// By what an attachment is found on the host: in the names of namespaces and cached results, and in leases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    Instance(InstanceId),
    /// It waits for an instance.
    Warm(WarmId),
}

impl Holder {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Instance(id) => id.as_str(),
            Self::Warm(warm) => warm.as_str(),
        }
    }

    pub(super) fn instance(self) -> Option<InstanceId> {
        match self {
            Self::Instance(id) => Some(id),
            Self::Warm(_) => None,
        }
    }

    pub(super) fn warm(self) -> Option<WarmId> {
        match self {
            Self::Instance(_) => None,
            Self::Warm(warm) => Some(warm),
        }
    }
}

impl FromStr for Holder {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let warm = text.parse().map(Self::Warm);
        warm.or_else(|()| text.parse().map(Self::Instance).map_err(drop))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&InstanceId> for Holder {
    fn from(id: &InstanceId) -> Self {
        Self::Instance(id.clone())
    }
}

impl From<&WarmId> for Holder {
    fn from(warm: &WarmId) -> Self {
        Self::Warm(warm.clone())
    }
}
