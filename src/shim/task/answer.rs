//! What went wrong, as containerd reads it: a code that it acts on, and words that it passes on.

use std::fmt::Display;
use std::io;

use containerd_shim_protos::ttrpc::{Code, Error, get_status};

/// The answer to a call, or why there is none.
pub(super) type Answer<T> = Result<T, Error>;

/// Nothing of that name is here. containerd takes it for done where something is to be ended.
pub(super) fn not_found(what: impl Display) -> Error {
    Error::RpcStatus(get_status(Code::NOT_FOUND, format!("{what}: not found")))
}

/// There is one already.
pub(super) fn already_exists(what: impl Display) -> Error {
    Error::RpcStatus(get_status(Code::ALREADY_EXISTS, format!("{what}: already exists")))
}

/// Something else has to be done before.
pub(super) fn too_early(what: impl Display) -> Error {
    Error::RpcStatus(get_status(Code::FAILED_PRECONDITION, format!("{what}: failed precondition")))
}

/// This shim can't do it.
pub(super) fn not_done_here(what: impl Display) -> Error {
    Error::RpcStatus(get_status(Code::UNIMPLEMENTED, format!("{what} is not done by actord's shim: not implemented")))
}

/// It went wrong.
pub(super) fn failed(why: impl Display) -> Error {
    Error::RpcStatus(get_status(Code::UNKNOWN, why))
}

/// A failed system call. One that did not find what it was about says so.
pub(super) fn of_io(what: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => not_found(what),
        io::ErrorKind::InvalidInput => {
            Error::RpcStatus(get_status(Code::INVALID_ARGUMENT, format!("{what}: {error}: invalid argument")))
        }
        _ => failed(format!("{what}: {error}")),
    }
}
