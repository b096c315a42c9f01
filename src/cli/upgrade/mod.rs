//! `actord upgrade`: puts another program in the place of the one that runs, and shows how that goes. Who does it is a process
//! of its own: this one may end at any time.

mod report;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::config::{Config, parse_duration};
use crate::upgrade::{HOME, Home, Machine, Outcome, Refusal, Running, Wanted, begin, prepare};
use report::Report;

/// `actord upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// The new program, or the Debian package that it comes in
    #[arg(value_name = "FILE.deb|PROGRAM", required_unless_present_any = ["describe", "watch"])]
    pub file: Option<PathBuf>,

    /// The package that is installed, where it was not kept when it was: it is the way back
    #[arg(long, value_name = "FILE.deb")]
    pub before: Option<PathBuf>,

    /// Let a program take the place of one that a package brought
    #[arg(long)]
    pub replace_packaged: bool,

    /// How long the new program has to be healthy, but for short breaks
    #[arg(long, hide = true, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub trial_time: Duration,

    /// Where upgrades keep what they need: of no use but to tests, which run many actords on one machine
    #[arg(long, hide = true, value_name = "DIR", default_value = HOME)]
    pub upgrade_dir: PathBuf,

    /// Print what this program is, for another one that upgrades to it
    #[arg(long, hide = true)]
    pub describe: bool,

    /// Watch over the upgrade that is under way, if nobody does
    #[arg(long, hide = true, conflicts_with = "describe")]
    pub watch: bool,

    /// The settings.
    #[command(flatten)]
    pub config: Config,
}

/// Why an upgrade did not take place.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// It was refused, and nothing is changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What goes on can't be seen.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl UpgradeArgs {
    /// Upgrades the actord that runs, and shows how that goes until it has ended.
    ///
    /// # Errors
    /// Why nothing is upgraded, or why what goes on can't be seen any more.
    pub fn run(&self, running: &Running, machine: &dyn Machine) -> Result<ExitCode, UpgradeError> {
        let (home, wanted) = (Home::new(&self.upgrade_dir), self.wanted()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let marker = prepare(&home, running, &wanted, machine).await?;
            let mut report = Report::new(&marker);
            report.begin();
            begin(&home, &marker).await?;
            let outcome = report.follow(&home).await?;
            Ok(if outcome == Outcome::Passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }

    /// What is asked for. Files are named as those find them who look from elsewhere: dpkg is run in `/`.
    fn wanted(&self) -> io::Result<Wanted> {
        Ok(Wanted {
            file: std::path::absolute(self.file.as_deref().unwrap_or(Path::new("")))?,
            before: self.before.as_deref().map(std::path::absolute).transpose()?,
            replace_packaged: self.replace_packaged,
            trial: self.trial_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Verb};

    #[test]
    fn files_are_named_as_those_find_them_who_look_from_elsewhere() {
        let words = ["actord", "upgrade", "./new.deb", "--before", "kept/old.deb"];
        let Verb::Upgrade(upgrade) = Cli::try_parse_from(words).unwrap().verb else { panic!("another verb") };
        let (wanted, here) = (upgrade.wanted().unwrap(), std::env::current_dir().unwrap());
        assert_eq!(wanted.file, here.join("new.deb"));
        assert_eq!(wanted.before, Some(here.join("kept/old.deb")));
        assert_eq!(wanted.trial.as_secs(), 60);
    }
}
