//! Variables that look like settings and are none: a mistyped name would change nothing, and say nothing.

use std::ffi::OsString;

use clap::{Args, Command};

use super::Config;

/// What every variable of a setting begins with.
const PREFIX: &str = "ACTORD_";

/// Those of these names of variables that begin like a setting's and are no setting's.
#[must_use]
pub fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let settings = Config::augment_args(Command::new("actord"));
    let is_setting =
        |name: &str| settings.get_arguments().any(|flag| flag.get_env().is_some_and(|known| known == name));
    let mut unknown: Vec<String> = names
        .into_iter()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with(PREFIX) && !is_setting(name))
        .collect();
    unknown.sort_unstable();
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(names: &[&str]) -> Vec<String> {
        unknown_variables(names.iter().map(OsString::from))
    }

    #[test]
    fn a_variable_that_is_mistyped_is_named() {
        assert_eq!(
            unknown(&["ACTORD_MEMORY_LIMITS", "ACTORD_LISTEN", "PATH", "actord_dns", "ACTORD_DNSS"]),
            ["ACTORD_DNSS", "ACTORD_MEMORY_LIMITS"]
        );
    }

    #[test]
    fn the_variable_of_every_setting_is_known() {
        let settings = Config::augment_args(Command::new("actord"));
        let known: Vec<OsString> = settings.get_arguments().filter_map(|flag| flag.get_env()).map(Into::into).collect();
        assert!(known.len() > 50, "{known:?}");
        assert!(unknown_variables(known).is_empty());
    }
}
