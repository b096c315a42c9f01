//! The shim: a second mode of this program, which containerd starts and asks for tasks instead of its own Go shim.
//!
//! ```text
//! containerd --exec, once a create--> `start`: finds the shard's server, or starts one, and says where it listens
//!     |  ttrpc, a connection a task    `delete`: what is still to do for a container when its connection broke
//!     v
//! server, one a shard -- task/ --> container/: makes containers, in a process of its own that has one thread
//!     |                   |            (a fork of this one could not)
//!     |                   +-----> exits: pidfd, waitid     +----> logs: from pipes into the log file, one thread
//!     +-- ends when it has neither container nor reservation (table)       events: to containerd, never waited for
//! ```
//! A shard is what the annotation [`GROUP`] of a container names; without it each container is a shard of its own. The
//! containers of one shard share a server's memory, and go down with it.
//!
//! It speaks the task API of version 2, as containerd 1.6 does. Terminals, exec, checkpoints and updates of limits are
//! refused in words: actord uses none of them.

mod arguments;
mod bootstrap;
mod call;
mod cgroup;
mod cleanup;
mod connection;
pub mod container;
mod detach;
mod events;
mod exits;
mod logs;
mod notes;
mod rootfs;
mod server;
mod shard;
mod shared;
mod table;
mod task;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use self::arguments::{Action, Arguments};

/// The name under which this program is a shim. containerd wants names of this form.
pub const PROGRAM: &str = "containerd-shim-actord-v1";

/// The annotation of a runtime spec that names the container's shard. It is the one of containerd's own Go shim.
pub const GROUP: &str = "io.containerd.runc.v2.group";

/// The directory, beside the socket of the containerd that is served, in which the servers' sockets and locks are.
pub const SOCKETS: &str = "shims";

/// The variable in which containerd names the socket that takes events.
const EVENTS_ADDRESS: &str = "TTRPC_ADDRESS";

/// Whether this process was started as a shim, by the name that it was called by.
#[must_use]
pub fn is_asked_for(called: &OsStr) -> bool {
    Path::new(called).file_name() == Some(OsStr::new(PROGRAM))
}

/// Does what the command line asks for. Failures are told on standard error, which containerd passes on.
#[must_use]
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = arguments.next().unwrap_or_default();
    match Arguments::parse(arguments).map_err(io::Error::other).and_then(|arguments| act(arguments, &program)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{PROGRAM}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(mut arguments: Arguments, program: &OsStr) -> io::Result<()> {
    arguments.events = std::env::var(EVENTS_ADDRESS).unwrap_or_default();
    match arguments.action {
        Action::Start => print(bootstrap::start(&arguments, program)?.as_bytes()),
        Action::Delete => print(&cleanup::delete(&arguments)?),
        Action::Serve => server::serve(&arguments),
        Action::Version => print(format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")).as_bytes()),
    }
}

fn print(answer: &[u8]) -> io::Result<()> {
    io::stdout().write_all(answer)?;
    io::stdout().flush()
}
