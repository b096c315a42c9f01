//! Calls of functions that ask for a token (`actord.auth`).
//!
//! ```text
//! Authorization -> Access (a look into a table in memory) -> a token with `invoke` for the function's namespace? -> the call
//!                                                         -> no token that is known: note it, and 401, or 429 after a wait
//! ```
//! The function does not see the header (`headers`): it could call others by the token. A call of any other function comes
//! by here with one look at a flag. The password opens no function: a function would be a place to guess it at.
//!
//! A right token never waits for others' wrong ones: all callers of a function may come by one address, and 256 bits are
//! guessed at no speed. Wrong ones are slowed and told of as they are for the API, and counted for themselves: what calls a
//! function with an old token must not slow down the operator.

use std::time::Duration;

use actix_http::{Request, Response};
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use super::refusal::refusal;
use crate::credentials::{Access, Denied, Scope};
use crate::function::FunctionId;
use crate::http::guesses::Guesses;
use crate::http::seconds::whole_seconds;
use crate::http::source::Source;

/// Why a call may not pass.
pub(super) enum Refused {
    /// It carries nothing that could be a token, or one that may not do this.
    Known(Response<BoxBody>),
    /// It carries a token that is none.
    Guess,
}

/// Lets a call pass that carries a token for this function.
///
/// # Errors
/// [`Refused`].
pub(super) fn check(access: &Access, function: &FunctionId, request: &Request) -> Result<(), Refused> {
    let sent = request.head().headers().get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let token = access.token(sent).map_err(|denied| match denied {
        Denied::Nothing => Refused::Known(unauthorised(&format!(
            "function {function} asks for a token: send Authorization: Bearer TOKEN"
        ))),
        // A session opens no function.
        Denied::Wrong | Denied::Ended(_) => Refused::Guess,
        Denied::Expired(token) => Refused::Known(unauthorised(&format!(
            "token {id} has expired: `actord token rotate {id}` makes it anew",
            id = token.id
        ))),
    })?;
    let forbidden = |line: &str| Err(Refused::Known(refusal(StatusCode::FORBIDDEN, line)));
    if !token.has(Scope::Invoke) {
        return forbidden(&format!(
            "token {} may not call functions: `actord token create --invoke` makes one that may",
            token.id
        ));
    }
    if !token.namespaces.contains(&function.namespace) {
        let reach = &token.namespaces;
        return forbidden(&format!("token {} may not call function {function}: it is for {reach}", token.id));
    }
    Ok(())
}

impl Refused {
    /// The answer: 401 for no token that holds, 403 for one that may not, 429 where too many came that are none.
    pub(super) async fn answer(self, guesses: &Guesses, function: &FunctionId, request: &Request) -> Response<BoxBody> {
        if let Self::Known(answer) = self {
            return answer;
        }
        let source = guesses.client(request.peer_addr(), request.head().headers()).into();
        guesses.hold_up(source).await;
        match guesses.note(source) {
            None => unauthorised(&format!("function {function} asks for a token, and this is none that holds")),
            Some(wait) => too_many(function, source, wait),
        }
    }
}

fn unauthorised(line: &str) -> Response<BoxBody> {
    let mut answer = refusal(StatusCode::UNAUTHORIZED, line);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"functions\""));
    answer
}

fn too_many(function: &FunctionId, source: Source, wait: Duration) -> Response<BoxBody> {
    let seconds = whole_seconds(wait);
    let line = format!(
        "function {function} asks for a token, and this is none that holds. Too many of those came from {source}: they are \
         answered late until none has come for {seconds} s. One that holds is not held up"
    );
    let mut answer = refusal(StatusCode::TOO_MANY_REQUESTS, &line);
    answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    answer
}
