//! What came of an upgrade: for whoever asked for it, and for people who look later.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::home::{Home, named};
use super::marker::{Build, Marker};
use super::step::End;
use crate::durable;

/// How an upgrade ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The new program has passed its trial.
    Passed,
    /// The old program runs again.
    WentBack,
    /// The old program was never replaced.
    NotBegun,
    /// What is in the program's place stays, and did not pass.
    Stays,
    /// An operator installed another version during the trial, or removed the package: that is how it is now.
    Replaced,
}

/// What came of the last upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Which upgrade it was.
    pub id: String,
    /// The old program.
    pub from: Build,
    /// The new one.
    pub to: Build,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, if it did not pass.
    pub reason: Option<String>,
}

impl Last {
    /// What came of the last upgrade, if there was one.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn read(home: &Home) -> io::Result<Option<Self>> {
        let path = home.last_path();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| named(&path, &error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&path, &error)),
        }
    }

    /// Notes what came of this one. It is on the disk when this returns.
    pub(super) fn write(home: &Home, marker: &Marker, end: &End) -> io::Result<()> {
        let (outcome, reason) = match end {
            End::Passed => (Outcome::Passed, None),
            End::WentBack => (Outcome::WentBack, marker.reason.clone()),
            End::NotBegun(why) => (Outcome::NotBegun, Some(why.clone())),
            End::Stays(why) => (Outcome::Stays, Some(why.clone())),
            End::Replaced => (
                Outcome::Replaced,
                Some("another version was installed during the trial, or the program was removed".to_owned()),
            ),
        };
        let Marker { id, from, to, .. } = marker.clone();
        let bytes = serde_json::to_vec_pretty(&Self { id, from, to, outcome, reason })?;
        durable::write(&home.last_path(), &bytes, 0o600).map_err(|error| named(&home.last_path(), &error))
    }
}
