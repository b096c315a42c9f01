//! Whether schedules of functions can name a time zone here.

use super::finding::Finding;
use super::source::Root;

const CHECK: &str = "time zones";
const ZONES: &str = "/usr/share/zoneinfo";

/// What is known of them.
#[derive(Debug)]
pub(super) struct Zones {
    there: bool,
}

impl Zones {
    pub(super) fn read(root: &Root) -> Self {
        // Some systems keep the list of UTC alone.
        Self { there: root.names(ZONES).iter().any(|name| name.starts_with("Europe") || name == "tzdata.zi") }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        vec![if self.there {
            Finding::ok(CHECK, format!("{ZONES} has them: schedules of functions can name them"))
        } else {
            let found = format!("there are none in {ZONES}: functions can have schedules in UTC alone");
            Finding::warning(CHECK, found, "apt-get install tzdata")
        }]
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::doctor::State;

    fn on(files: &[&str]) -> Finding {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Zones::read(&Root::of(root.path())).check().remove(0)
    }

    #[test]
    fn a_machine_without_time_zones_is_told_of_before_a_schedule_asks_for_one() {
        assert_eq!(on(&["usr/share/zoneinfo/Europe/Berlin"]).state, State::Ok);
        for files in [&[][..], &["usr/share/zoneinfo/UTC"]] {
            let finding = on(files);
            assert_eq!(finding.state, State::Warning, "{files:?}");
            assert_eq!(finding.remedy.as_deref(), Some("apt-get install tzdata"));
        }
    }
}
