//! Why a request about a function was refused.

use crate::function::{FunctionId, Generation, Invalid, Namespace, SecretName};

/// Why a request was refused: for the caller, who can act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request itself is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such function.
    #[error("function {0} not found")]
    NotFound(FunctionId),
    /// There is such a function already.
    #[error("function {0} already exists: update it with PUT, or delete it first")]
    Exists(FunctionId),
    /// The spec names a secret that was never created.
    #[error("unable to find secret: {0}")]
    NoSecret(SecretName),
    /// There is no such namespace.
    #[error("namespace not valid")]
    NoNamespace(Namespace),
    /// There is no such generation of it to go back to.
    #[error("{}", not_kept(id, *to, kept))]
    NotKept {
        /// Which function.
        id: FunctionId,
        /// The generation that was named, if one was.
        to: Option<Generation>,
        /// Those that are kept, newest first.
        kept: Vec<Generation>,
    },
    /// The image or spec can't be run, as the caller can mend; nothing was kept of it, unless another caller was told
    /// before that the same is accepted.
    #[error("{0}")]
    Unrunnable(String),
    /// There is no room to make it durable, or for its first instance: the operator frees some. Nothing was kept of it,
    /// as above.
    #[error("{0}")]
    Full(String),
    /// It could not be made durable for another reason than the room.
    #[error("{0}")]
    Failed(String),
    /// Too much is being asked at this moment; the same request may succeed later.
    #[error("{0}")]
    Busy(String),
}

fn not_kept(id: &FunctionId, to: Option<Generation>, kept: &[Generation]) -> String {
    let kept = kept.iter().map(Generation::to_string).collect::<Vec<_>>().join(", ");
    match to {
        Some(to) if kept.is_empty() => {
            format!("function {id} can't be rolled back to generation {to}: none of its generations ever served")
        }
        Some(to) => format!("function {id} can't be rolled back to generation {to}: it keeps {kept}"),
        None => format!("function {id} has nothing to be rolled back to: no other generation of it is kept"),
    }
}
