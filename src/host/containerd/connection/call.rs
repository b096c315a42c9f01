//! One call to containerd: named, in our namespace, under a deadline -> its answer, or what its failure means.

use std::error::Error as _;
use std::time::Duration;

use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Request, Response, Status};
use tokio::time::timeout;

use super::{Containerd, Lease};
use crate::host::HostError;

/// The longest that a small call may take.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// A call that is about to be sent.
pub(crate) struct Call<M> {
    channel: Channel,
    what: String,
    request: Request<M>,
    deadline: Option<Duration>,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The object and the act.
    pub(crate) what: String,
    /// containerd's answer; one of this side's own where none came.
    pub(crate) status: Status,
}

impl Containerd {
    /// A call, to be sent within [`CALL_DEADLINE`]. `what` names the object and the act: `create container echo-1`.
    pub(crate) fn call<M>(&self, what: impl Into<String>, message: M) -> Call<M> {
        let deadline = Some(CALL_DEADLINE);
        Call { channel: self.channel.clone(), what: what.into(), request: self.request(message), deadline }
    }
}

impl<M> Call<M> {
    /// What the call makes lives until this lease ends, if nothing else refers to it by then.
    pub(crate) fn under(mut self, lease: &Lease) -> Self {
        lease.mark(&mut self.request);
        self
    }

    /// Another deadline.
    pub(crate) fn within(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// For a call that answers when something happens.
    pub(crate) fn without_deadline(self) -> Self {
        Self { deadline: None, ..self }
    }

    /// Sends it; the deadline is for all that `rpc` does, a stream of answers included.
    pub(crate) async fn try_send<T>(
        self,
        rpc: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let Self { channel, what, request, deadline } = self;
        let answer = rpc(channel, request);
        let answer = match deadline {
            Some(deadline) => timeout(deadline, answer).await.unwrap_or_else(|_| Err(Status::deadline_exceeded(""))),
            None => answer.await,
        };
        answer.map(Response::into_inner).map_err(|status| Failure { what, status })
    }

    /// As [`Self::try_send`], with what a failure means.
    pub(crate) async fn send<T>(
        self,
        rpc: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, HostError> {
        Ok(self.try_send(rpc).await?)
    }

    /// Asks for something, or removes it: None where there is no such thing.
    pub(crate) async fn find<T>(
        self,
        rpc: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<Option<T>, HostError> {
        self.try_send(rpc).await.map_or_else(|failure| failure.excuse(Code::NotFound), |answer| Ok(Some(answer)))
    }

    /// Makes something: None where it is there already.
    pub(crate) async fn make<T>(
        self,
        rpc: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<Option<T>, HostError> {
        self.try_send(rpc).await.map_or_else(|failure| failure.excuse(Code::AlreadyExists), |answer| Ok(Some(answer)))
    }
}

impl Failure {
    /// Passes over a failure of one kind.
    fn excuse<T>(self, code: Code) -> Result<Option<T>, HostError> {
        if self.status.code() == code { Ok(None) } else { Err(self.into()) }
    }

    /// What it means that something can't be made: what is not found is something that the new thing needs.
    pub(crate) fn of_making(self) -> HostError {
        match self.status.code() {
            Code::NotFound => HostError::Failed(format!("{}: {}", self.what, self.status.message())),
            _ => self.into(),
        }
    }
}

impl From<Failure> for HostError {
    fn from(Failure { what, status }: Failure) -> Self {
        host_error(&what, &status)
    }
}

/// The innermost cause of a status that was made on this side; a server's status has none.
fn cause(status: &Status) -> Option<String> {
    let mut innermost = status.source()?;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Some(innermost.to_string())
}

/// What a failed call means. `what` names the object and the act.
pub(crate) fn host_error(what: &str, status: &Status) -> HostError {
    match status.code() {
        Code::NotFound => HostError::NotFound(what.to_owned()),
        Code::Unavailable => {
            let why = cause(status).unwrap_or_else(|| status.message().to_owned());
            HostError::Unavailable(format!("{what}: containerd can't be reached: {why}"))
        }
        Code::DeadlineExceeded => HostError::Deadline(what.to_owned()),
        // Made on this side: the connection was lost, before or during the call.
        _ if status.source().is_some() => {
            HostError::Unavailable(format!("{what}: lost the connection to containerd: {}", status.message()))
        }
        _ => HostError::Failed(format!("{what}: {}", status.message())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn call() -> Call<()> {
        Containerd::new(Path::new("/nonexistent.sock"), "none", "nobody").unwrap().call("look up x", ())
    }

    #[tokio::test]
    async fn a_containerd_that_is_not_there_is_named_by_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("containerd.sock");
        let containerd = Containerd::new(&socket, "none", "nobody").unwrap();
        let ask = async |channel, request| {
            containerd_client::services::v1::version_client::VersionClient::new(channel).version(request).await
        };
        let error = containerd.call("ask for the version", ()).send(ask).await.unwrap_err();
        let HostError::Unavailable(text) = &error else { panic!("{error:?}") };
        assert!(text.contains(socket.to_str().unwrap()) && text.contains("name the right socket"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_not_answered_ends_at_its_deadline() {
        let never = async |_, _| std::future::pending::<Result<Response<()>, Status>>().await;
        assert_eq!(call().send(never).await, Err(HostError::Deadline("look up x".to_owned())));
    }

    #[tokio::test]
    async fn what_is_not_found_is_none_to_who_asks_and_a_failure_to_who_makes_something_of_it() {
        let missing = async |_, _| Err::<Response<()>, _>(Status::not_found("no y"));
        assert_eq!(call().find(missing).await, Ok(None));
        assert_eq!(call().make(missing).await, Err(HostError::NotFound("look up x".to_owned())));
        let failure = call().try_send(missing).await.unwrap_err();
        assert_eq!(failure.of_making(), HostError::Failed("look up x: no y".to_owned()));
        let there = async |_, _| Err::<Response<()>, _>(Status::already_exists("x"));
        assert_eq!(call().make(there).await, Ok(None));
        assert!(call().find(there).await.is_err());
    }
}
