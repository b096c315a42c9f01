//! Settings as a command line gives them, for the tests of this room.

use clap::Parser;

use crate::config::Config;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    config: Config,
}

/// The settings of `actord` with these arguments, which are separated by white space.
pub(super) fn config(arguments: &str) -> Config {
    let words = ["actord"].into_iter().chain(arguments.split_whitespace());
    Program::try_parse_from(words).map(|program| program.config).unwrap()
}
