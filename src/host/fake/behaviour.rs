//! What an image of the fake registry does when it is pulled and run.

use std::time::Duration;

use crate::function::Exit;

/// A script for one image. The default is pulled at once, is ready at once, ends on the first SIGTERM with code 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// How long the pull takes.
    pub(super) pull: Duration,
    /// Why the registry refuses it.
    pub(super) unpullable: Option<String>,
    /// Why no container can be made of it.
    pub(super) hopeless: Option<String>,
    /// How long after its start it is ready; never, with a reason.
    pub(super) ready: Result<Duration, String>,
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
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            pull: Duration::ZERO,
            unpullable: None,
            hopeless: None,
            ready: Ok(Duration::ZERO),
            env: Vec::new(),
            stop_signal: None,
            exits: None,
            term: Some(Duration::ZERO),
            log: String::new(),
            cpu_millis: 1,
            memory_bytes: 1 << 20,
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

    /// Writes this when it starts.
    #[must_use]
    pub fn writes(mut self, log: &str) -> Self {
        self.log = log.to_owned();
        self
    }
}
