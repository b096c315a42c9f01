//! `actord completion`: the command line as a script that a shell completes by.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// `actord completion`.
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionArgs {
    /// Which shell. For bash: actord completion bash >/usr/share/bash-completion/completions/actord
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

impl CompletionArgs {
    /// Writes the script, all of it at once.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn run(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "actord", &mut script);
        to.write_all(&script)?;
        to.flush()
    }
}
