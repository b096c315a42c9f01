//! What an image of the fake registry does when it is pulled and run.

use std::net::SocketAddr;
use std::time::Duration;

use crate::function::{Answer, Exit};

/// A script for one image. The default is pulled at once, is ready at once, ends on the first SIGTERM with code 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// How long the pull takes.
    pub(super) pull: Duration,
    /// How long the registry asks to wait meanwhile.
    pub(super) wait: Option<Duration>,
    /// Why the registry refuses it.
    pub(super) unpullable: Option<String>,
    /// Why no container can be made of it.
    pub(super) hopeless: Option<String>,
    /// How long after its start it is ready; never, with a reason.
    pub(super) ready: Result<Duration, String>,
    /// What it answers from these times after its start on: a status, or no HTTP. Before the first of them: 200.
    pub(super) answers: Vec<(Duration, Option<u16>)>,
    /// Where it listens besides port 8080, from these times after its start on.
    pub(super) listens: Vec<(Duration, SocketAddr)>,
    /// Whether its network stack is its own, so that the machine's kernel knows nothing of its sockets.
    pub(super) own_network_stack: bool,
    /// The variables of its image, each `NAME=value`.
    pub(super) env: Vec<String>,
    /// Its image's `StopSignal`.
    pub(super) stop_signal: Option<String>,
    /// When and how it ends by itself.
    pub(super) exits: Option<(Duration, Exit)>,
    /// How long after the signal that its image names it ends; None: not at all.
    pub(super) term: Option<Duration>,
    /// What it writes when it starts.
    pub(super) log: String,
    /// How busy it is, in milli-cores.
    pub(super) cpu_millis: u32,
    /// How much memory it uses.
    pub(super) memory_bytes: u64,
    /// How many bytes it writes to its disk in each second.
    pub(super) fills: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            pull: Duration::ZERO,
            wait: None,
            unpullable: None,
            hopeless: None,
            ready: Ok(Duration::ZERO),
            answers: Vec::new(),
            listens: Vec::new(),
            own_network_stack: false,
            env: Vec::new(),
            stop_signal: None,
            exits: None,
            term: Some(Duration::ZERO),
            log: String::new(),
            cpu_millis: 1,
            memory_bytes: 1 << 20,
            fills: 0,
        }
    }
}

impl Behaviour {
    /// Pulled and ready at once, ends when asked to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A pull takes this long.
    #[must_use]
    pub fn pulls_in(mut self, time: Duration) -> Self {
        self.pull = time;
        self
    }

    /// While it is pulled, the registry asks to wait so long.
    #[must_use]
    pub fn asks_to_wait(mut self, time: Duration) -> Self {
        self.wait = Some(time);
        self
    }

    /// The registry refuses it, for this reason.
    #[must_use]
    pub fn unpullable(mut self, reason: &str) -> Self {
        self.unpullable = Some(reason.to_owned());
        self
    }

    /// No container can be made of it, for this reason.
    #[must_use]
    pub fn hopeless(mut self, reason: &str) -> Self {
        self.hopeless = Some(reason.to_owned());
        self
    }

    /// Becomes ready this long after its start.
    #[must_use]
    pub fn ready_after(mut self, time: Duration) -> Self {
        self.ready = Ok(time);
        self
    }

    /// Runs, and is never ready.
    #[must_use]
    pub fn never_ready(mut self) -> Self {
        self.ready = Err("connection refused".to_owned());
        self
    }

    /// Answers every question with this status.
    #[must_use]
    pub fn answers(self, status: u16) -> Self {
        self.answers_from(Duration::ZERO, Some(status))
    }

    /// Answers every question with this status, or with no HTTP, from this long after its start on.
    #[must_use]
    pub fn answers_from(mut self, time: Duration, status: Option<u16>) -> Self {
        self.answers.push((time, status));
        self
    }

    /// Listens there as well, from this long after its start on.
    #[must_use]
    pub fn listens_from(mut self, time: Duration, address: SocketAddr) -> Self {
        self.listens.push((time, address));
        self
    }

    /// Brings a network stack with it, as a sandbox does.
    #[must_use]
    pub fn own_network_stack(mut self) -> Self {
        self.own_network_stack = true;
        self
    }

    /// Its image has this variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }

    /// Its image names this signal to be ended by, and it handles no other.
    #[must_use]
    pub fn stop_signal(mut self, text: &str) -> Self {
        self.stop_signal = Some(text.to_owned());
        self
    }

    /// What it answers when it has run for this long.
    pub(super) fn answer(&self, age: Duration) -> Answer {
        match self.answers.iter().rev().find(|(from, _)| *from <= age) {
            Some((_, Some(status))) => Answer::Status(*status),
            Some((_, None)) => Answer::NotHttp("the answer is not HTTP".to_owned()),
            None => Answer::Status(200),
        }
    }

    /// Ends by itself, this long after its start.
    #[must_use]
    pub fn exits_after(mut self, time: Duration, exit: Exit) -> Self {
        self.exits = Some((time, exit));
        self
    }

    /// Ends at once with this exit code.
    #[must_use]
    pub fn exits_with(self, code: u32) -> Self {
        self.exits_after(Duration::ZERO, Exit::Code(code))
    }

    /// Goes on for this long after SIGTERM.
    #[must_use]
    pub fn ignores_term_for(mut self, time: Duration) -> Self {
        self.term = Some(time);
        self
    }

    /// Has no handler for SIGTERM, which as process 1 it then ignores.
    #[must_use]
    pub fn ignores_term(mut self) -> Self {
        self.term = None;
        self
    }

    /// Uses so much of the machine as long as it runs.
    #[must_use]
    pub fn uses(mut self, cpu_millis: u32, memory_bytes: u64) -> Self {
        (self.cpu_millis, self.memory_bytes) = (cpu_millis, memory_bytes);
        self
    }

    /// Writes so many bytes to its disk in each second that it runs.
    #[must_use]
    pub fn fills_its_disk(mut self, bytes_per_second: u64) -> Self {
        self.fills = bytes_per_second;
        self
    }

    /// Writes this when it starts.
    #[must_use]
    pub fn writes(mut self, log: &str) -> Self {
        self.log = log.to_owned();
        self
    }
}
