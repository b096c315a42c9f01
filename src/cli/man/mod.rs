//! `actord man`: the manual, made of what the verbs and the settings say of themselves.
//!
//! ```text
//! Cli::command() -> a page for each verb: man1/actord-apply.1      Config's flags -> man5/actord.toml.5
//! ```

mod page;
mod settings;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};

use super::Cli;

/// What the pages say at their feet that they are of.
const SOURCE: &str = concat!("actord ", env!("CARGO_PKG_VERSION"));

/// `actord man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Directory that the pages are written to, in man1/ and man5/
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// Day that stands at their feet, such as 2026-11-27
    #[arg(long, value_name = "DATE", default_value = "")]
    pub date: String,
}

/// Why the manual can't be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write {0}: {1}")]
pub struct ManError(PathBuf, io::Error);

impl ManArgs {
    /// Writes all pages; those that are there are written anew.
    ///
    /// # Errors
    /// The page that can't be written is named.
    pub fn run(&self) -> Result<(), ManError> {
        let mut actord = Cli::command().disable_help_subcommand(true);
        actord.build();
        self.write_verb(&actord)?;
        let settings = settings::page(&self.date);
        write(&self.directory.join("man5"), "actord.toml.5", &settings.render())
    }

    /// The page of a verb, and those of the verbs below it.
    fn write_verb(&self, verb: &Command) -> Result<(), ManError> {
        for below in verb.get_subcommands().filter(|below| !below.is_hide_set()) {
            self.write_verb(below)?;
        }
        let name = verb.get_display_name().unwrap_or_else(|| verb.get_name());
        write(&self.directory.join("man1"), &format!("{name}.1"), &page::of(verb, name, &self.date))
    }
}

fn write(directory: &Path, name: &str, page: &str) -> Result<(), ManError> {
    let path = directory.join(name);
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, page));
    written.map_err(|error| ManError(path, error))
}

/// The line at the head of a page: what it is called, its section, its day, and what it is of.
fn title(page: &mut clap_mangen::roff::Roff, name: &str, section: &str, date: &str) {
    let date = format!("\"{date}\"");
    page.control("TH", [name.to_uppercase().as_str(), section, &date, SOURCE, "actord"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_can_not_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("man1"), "a file").unwrap();
        let man = ManArgs { directory: directory.path().to_owned(), date: String::new() };
        let error = man.run().unwrap_err().to_string();
        assert!(error.starts_with(&format!("can't write {}/man1/actord-", directory.path().display())), "{error}");
    }
}
