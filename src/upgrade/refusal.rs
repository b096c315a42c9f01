//! Why nothing is upgraded, and why nothing else is done meanwhile.

use std::io;
use std::path::Path;

use super::home::Home;

/// Why nothing is upgraded, or nothing else is done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It would not be an upgrade, or one without a way back.
    #[error("{0}")]
    Not(String),
    /// What has to be kept can't be.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Refuses what would change a data directory, or its program, while an upgrade of it is under way: it may be undone by the way back,
/// or take the place of what that needs.
///
/// # Errors
/// [`Refusal`], with what to wait for. A marker that nobody wrote so is none, as it is for `actord up`.
pub fn refuse_meanwhile(home: &Home, data_dir: &Path) -> Result<(), Refusal> {
    let marker = match home.marker_of(data_dir) {
        Ok(None) => return Ok(()),
        Ok(Some(marker)) => marker,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    Err(Refusal::Not(format!(
        "an upgrade of {} from {} to {} is under way, which might undo this: wait until {} is gone, and try again",
        data_dir.display(),
        marker.from.version,
        marker.to.version,
        home.path().join("trial.json").display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::marker::testing::marker;
    use crate::upgrade::marker::{Marker, Step};

    #[test]
    fn what_an_upgrade_might_undo_waits_for_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        refuse_meanwhile(&home, dir.path()).unwrap();
        for step in [Step::Prepared, Step::Copied, Step::Passed, Step::GoingBack { restored: true }] {
            home.mark(&Marker { data_dir: dir.path().to_owned(), ..marker(step, false) }).unwrap();
            let refused = refuse_meanwhile(&home, dir.path()).unwrap_err().to_string();
            assert!(refused.contains("under way") && refused.contains("trial.json is gone"), "{refused}");
        }
        home.mark(&marker(Step::Copied, true)).unwrap();
        refuse_meanwhile(&home, dir.path()).expect("it is another data directory's");
    }
}
