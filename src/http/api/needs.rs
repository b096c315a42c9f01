//! The table of routes: what each needs of who asks. This is all that says so, and `docs/security.md` shows it.
//!
//! ```text
//! request -> auth: who is it? -> the table: may it do that anywhere? -> handler -> enter(namespace): also in this one? -> engine
//! ```
//! A request whose method and path are not in the table needs the password: a route that was forgotten here is closed.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage as _, HttpRequest};

use super::error::HttpError;
use super::subject::in_namespace;
use crate::credentials::{Caller, Scope};
use crate::function::Namespace;

/// What a route needs of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// No credentials.
    Nothing,
    /// None, but for functions that ask for it a token that may call them. The proxy decides that.
    Asked,
    /// None for actord's own id of a call that anybody could make, else this much: the handler decides that.
    Own,
    /// Any that hold.
    Known,
    /// This scope, in the namespace that the request is about.
    Of(Scope),
    /// The password.
    Admin,
}

/// The pattern of a path, and what it needs.
pub(super) type Row = (&'static str, Needs);

/// The methods that a function is called by.
const CALLS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// Those of a call that is kept.
const QUEUED: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "TRACE"];

/// Methods, path and need of the routes of both listeners.
pub(super) const TABLE: &[(&[&str], &str, Needs)] = {
    use Needs::{Admin, Asked, Known, Nothing, Of, Own};
    use Scope::{Read, Write};
    &[
        (&["GET"], "/system/functions", Of(Read)),
        (&["POST", "PUT", "DELETE"], "/system/functions", Of(Write)),
        (&["GET"], "/system/function/{name}", Of(Read)),
        (&["GET"], "/system/function/{name}/history", Of(Read)),
        (&["GET"], "/system/function/{name}/instances", Of(Read)),
        (&["POST"], "/system/function/{name}/rollback", Of(Write)),
        (&["POST"], "/system/function/{name}/invoke", Of(Write)),
        (&["POST"], "/system/function/{name}/stop", Of(Write)),
        (&["POST"], "/system/function/{name}/start", Of(Write)),
        (&["POST"], "/system/scale-function/{name}", Of(Write)),
        (&["POST"], "/system/alert", Of(Write)),
        (&["GET"], "/system/events", Of(Read)),
        (&["GET"], "/system/history", Of(Read)),
        (&["GET"], "/system/logs", Of(Read)),
        (&["GET"], "/system/secrets", Of(Read)),
        (&["POST", "PUT", "DELETE"], "/system/secrets", Of(Write)),
        (&["GET"], "/system/calls", Of(Read)),
        (&["DELETE"], "/system/calls", Of(Write)),
        (&["GET"], "/system/call/{id}", Of(Read)),
        (&["DELETE"], "/system/call/{id}", Of(Write)),
        (&["POST"], "/system/call/{id}/retry", Of(Write)),
        (&["GET"], "/system/queues", Of(Read)),
        (&["GET"], "/system/schedules", Of(Read)),
        (&["GET"], "/system/namespaces", Of(Read)),
        (&["GET"], "/system/namespace/{name}", Of(Read)),
        (&["POST", "PUT", "DELETE"], "/system/namespace/{name}", Admin),
        (&["POST"], "/system/namespace/", Admin),
        (&["POST"], "/system/namespace", Admin),
        (&["GET"], "/system/info", Known),
        (&["GET", "POST", "DELETE"], "/system/session", Known),
        (&["GET"], "/system/machine", Admin),
        (&["GET", "POST"], "/system/tokens", Admin),
        (&["DELETE"], "/system/tokens/{id}", Admin),
        (&["POST"], "/system/tokens/{id}/rotate", Admin),
        (&["POST"], "/system/password/rotate", Admin),
        (CALLS, "/function/{name}", Asked),
        (CALLS, "/function/{name}/{path}", Asked),
        (QUEUED, "/async-function/{name}", Asked),
        (QUEUED, "/async-function/{name}/{path}", Asked),
        (&["DELETE"], "/async-function/{name}", Own),
        (&["GET"], "/openapi.json", Nothing),
        (&["GET", "HEAD"], "/healthz", Nothing),
        (&["GET", "HEAD"], "/readyz", Nothing),
    ]
};

impl Needs {
    /// What a request needs that has this row of the table; one that has none needs the password.
    pub(super) fn of(row: Option<Row>) -> Self {
        row.map_or(Self::Admin, |(_, needs)| needs)
    }

    /// The word for it in the API's document.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Asked => "nothing, or `invoke` where the function asks for it",
            Self::Own => "the call's own id, or `write`",
            Self::Known => "any",
            Self::Of(scope) => scope.as_str(),
            Self::Admin => "admin",
        }
    }

    /// Whether this caller may do that somewhere.
    ///
    /// # Errors
    /// What it would have to be, for people.
    pub(super) fn met_by(self, caller: &Caller) -> Result<(), String> {
        match self {
            Self::Nothing | Self::Asked | Self::Own | Self::Known => Ok(()),
            Self::Of(scope) if caller.has(scope) => Ok(()),
            Self::Of(scope) => Err(format!(
                "token {} may not do this: it needs the scope {scope}. `actord token create --{scope} --namespace NAMESPACE` makes one that may",
                caller.name(),
                scope = scope.as_str()
            )),
            Self::Admin if caller.is_admin() => Ok(()),
            Self::Admin => Err(format!("token {} may not do this: it needs the user with the password", caller.name())),
        }
    }
}

/// The table as `docs/security.md` shows it.
#[must_use]
pub fn table_of_routes() -> String {
    let row = |(methods, path, needs): &(&[&str], &str, Needs)| {
        let methods = match *methods {
            CALLS => "any".to_owned(),
            QUEUED => "any but DELETE".to_owned(),
            some => some.join(", "),
        };
        format!("| `{path}` | {methods} | {} |\n", needs.word())
    };
    let rows: String = TABLE.iter().map(row).collect();
    format!("| route | methods | needs |\n| --- | --- | --- |\n{rows}")
}

/// What the table says of a request, if it is in it; the path is as routes see it, decoded.
pub(super) fn row(method: &Method, path: &str) -> Option<Row> {
    let row = TABLE.iter().find(|(methods, pattern, _)| methods.contains(&method.as_str()) && fits(pattern, path));
    row.map(|(_, pattern, needs)| (*pattern, *needs))
}

/// What a path has in the place of a pattern's first `{...}`.
pub(super) fn named<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    pattern.split('/').zip(path.split('/')).find(|(wanted, _)| wanted.starts_with('{')).map(|(_, segment)| segment)
}

/// Whether a path has the segments of a pattern, where `{...}` is any one.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(segment)) if wanted.starts_with('{') && !segment.is_empty() => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

/// Whom a request is from. The authorisation leaves it with the request.
pub(super) fn caller(request: &HttpRequest) -> Result<Caller, HttpError> {
    let known = request.extensions().get::<Caller>().cloned();
    known.ok_or_else(|| HttpError::new(StatusCode::FORBIDDEN, "nobody is known to ask for this"))
}

/// Lets a request go on that is about this namespace. Whether there is one is not told to who may not see it.
///
/// # Errors
/// 403 for a token that does not reach there.
pub(super) fn enter(request: &HttpRequest, namespace: &Namespace) -> Result<(), HttpError> {
    let caller = caller(request)?;
    in_namespace(request, namespace);
    if caller.reaches(namespace) {
        return Ok(());
    }
    let reach = match &caller {
        Caller::Token(token) => token.namespaces.to_string(),
        Caller::Admin(_) => String::new(),
    };
    let line = format!("token {} may not do this in namespace {namespace}: it is for {reach}", caller.name());
    Err(HttpError::new(StatusCode::FORBIDDEN, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_by_its_segments() {
        for (pattern, path, fit) in [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
            ("/a/{x}", "/a/b", true),
            ("/a/{x}", "/a/", false),
            ("/a/{x}", "/a/b/c", false),
            ("/a/{x}/c", "/a/b/c", true),
            ("/a/{x}/c", "/a/b/d", false),
            ("/a", "/A", false),
            ("/a", "//a", false),
        ] {
            assert_eq!(fits(pattern, path), fit, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_needs_the_password() {
        assert_eq!(Needs::of(row(&Method::GET, "/system/functions")), Needs::Of(Scope::Read));
        assert_eq!(Needs::of(row(&Method::PUT, "/system/functions")), Needs::Of(Scope::Write));
        for (method, path) in [
            (Method::PATCH, "/system/functions"),
            (Method::HEAD, "/system/functions"),
            (Method::GET, "/system/nothing"),
            (Method::GET, "/system/functions/"),
            (Method::GET, "/system"),
        ] {
            assert_eq!(Needs::of(row(&method, path)), Needs::Admin, "{method} {path}");
        }
    }

    #[test]
    fn no_two_rows_are_about_the_same() {
        let all: Vec<_> = TABLE.iter().flat_map(|(methods, path, _)| methods.iter().map(move |m| (m, path))).collect();
        for (at, row) in all.iter().enumerate() {
            assert!(!all[..at].contains(row), "{row:?}");
        }
    }
}
