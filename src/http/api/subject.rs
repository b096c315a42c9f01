//! What a request is about, for the audit log: handlers say it as they read it, since much of it is in bodies.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage as _, HttpRequest};
use jiff::Timestamp;

use crate::audit::{Audit, Entry};
use crate::credentials::{Caller, Denied};
use crate::function::{FunctionId, Namespace};

/// A route that is none.
const OTHER: &str = "other";
/// A client may make up methods of any length.
const METHOD_MAX: usize = 16;
/// The longest name that a path is taken for: a function's and a namespace's, with a dot.
const NAME_MAX: usize = 63 + 1 + 63;
/// The route whose `{name}` is a namespace.
const NAMESPACE: &str = "/system/namespace/";
/// The route of sessions.
const SESSION: &str = "/system/session";

/// A namespace, and a name in it.
#[derive(Debug, Default)]
struct Subject {
    namespace: Option<String>,
    name: Option<String>,
}

type Shared = Rc<RefCell<Subject>>;

/// A request that is under way: its entry is noted in the end, also where that is that its client left.
pub(super) struct Noted {
    audit: Audit,
    entry: Option<Entry>,
    subject: Shared,
    /// Whether it asks for a change.
    changes: bool,
    /// Whether it carries credentials that hold.
    is_known: bool,
    /// Whether these are the password's.
    is_admin: bool,
    /// Whether it begins or ends a session.
    is_of_session: bool,
}

impl Noted {
    /// Begins with what is known before routes and handlers see the request.
    pub(super) fn begin(audit: &Audit, request: &HttpRequest, from: IpAddr) -> Self {
        let subject = Shared::default();
        request.extensions_mut().insert(subject.clone());
        let entry = Entry {
            time: Timestamp::now(),
            who: None,
            from,
            method: request.method().as_str().chars().take(METHOD_MAX).collect(),
            route: OTHER.to_owned(),
            namespace: None,
            name: None,
            status: None,
        };
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        Self {
            audit: audit.clone(),
            entry: Some(entry),
            subject,
            changes,
            is_known: false,
            is_admin: false,
            is_of_session: false,
        }
    }

    /// It is from this one, or from nobody that is known. From here on a change of one that is known is noted whatever comes
    /// of it; and what could have been credentials and is none.
    pub(super) fn is_from(&mut self, known: &Result<Caller, Denied>) {
        let who = match known {
            Ok(caller) => Some(caller.name().to_owned()),
            Err(Denied::Expired(token)) => Some(token.id.clone()),
            Err(Denied::Ended(id)) => Some(id.clone()),
            Err(Denied::Wrong) => None,
            Err(Denied::Nothing) => return self.entry = None,
        };
        self.is_known = known.is_ok();
        self.is_admin = known.as_ref().is_ok_and(Caller::is_admin);
        if let Some(entry) = &mut self.entry {
            entry.who = who;
        }
    }

    /// It is for the route with this pattern, and the path names this.
    pub(super) fn is_for(&mut self, pattern: &str, name: Option<&str>) {
        if let Some(entry) = &mut self.entry {
            pattern.clone_into(&mut entry.route);
        }
        self.is_of_session = pattern == SESSION;
        let mut subject = self.subject.borrow_mut();
        let name = name.filter(|name| is_plain(name)).map(str::to_owned);
        if pattern.starts_with(NAMESPACE) {
            subject.namespace = name;
        } else {
            subject.name = name;
        }
    }

    /// It was answered.
    pub(super) fn answered(mut self, status: StatusCode) {
        // Reads are noted only where a caller was kept out.
        let is_kept_out = !self.is_known || status == StatusCode::FORBIDDEN;
        match &mut self.entry {
            Some(entry) if self.changes || is_kept_out => entry.status = Some(status.as_u16()),
            entry => *entry = None,
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        let Subject { namespace, name } = std::mem::take(&mut *self.subject.borrow_mut());
        (entry.namespace, entry.name) = (namespace, name);
        let is_refused = entry.status.is_some_and(|status| (400..500).contains(&status));
        match (self.is_known, entry.status) {
            (true, None) if !self.changes => {}
            // Sessions are what every token may begin and end, as often as it likes.
            (true, _) if (is_refused || self.is_of_session) && !self.is_admin => self.audit.note_some(entry),
            (true, _) => self.audit.note(entry),
            (false, Some(_)) => self.audit.note_some(entry),
            (false, None) => {}
        }
    }
}

/// Whether a part of a path can be a name. What a client puts there by mistake may be a secret, such as a token's text.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    name.len() <= NAME_MAX && name.bytes().all(plain)
}

fn change(request: &HttpRequest, change: impl FnOnce(&mut Subject)) {
    if let Some(subject) = request.extensions().get::<Shared>() {
        change(&mut subject.borrow_mut());
    }
}

/// It is about something in this namespace, or about the namespace.
pub(super) fn in_namespace(request: &HttpRequest, namespace: &Namespace) {
    change(request, |subject| subject.namespace = Some(namespace.to_string()));
}

/// It is about what has this name.
pub(super) fn about(request: &HttpRequest, name: &str) {
    change(request, |subject| subject.name = Some(name.to_owned()));
}

/// It is about this function.
pub(super) fn about_function(request: &HttpRequest, id: &FunctionId) {
    in_namespace(request, &id.namespace);
    about(request, id.name.as_str());
}
