//! The page of the file of settings: `Config`'s flags, as lines of the file.

use clap::{Arg, Args, Command};
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::title;
use crate::config::{CONFIG_FILE, Config};

/// How lines are written.
const FORM: [&str; 2] = [
    "A line is a setting: its name, an equals sign and its value, as TOML has it: text and times in quotes, numbers, true and \
     false without, lists in brackets. Times are 90 (seconds), \"500ms\", \"1.5s\" or \"1m30s\". Every setting has a default, and \
     the file may be missing. A name that is not known, or a value that a setting can't have, is an error that names the line.",
    "A flag of a verb beats an environment variable, which beats a line here. What is changed holds from the next start of \
     actord; functions go on meanwhile.",
];

/// The page, in section 5.
pub(super) fn page(date: &str) -> Roff {
    let mut page = Roff::new();
    title(&mut page, "actord.toml", "5", date);
    page.control("SH", ["NAME"]).text([roman("actord.toml - settings of actord")]);
    page.control("SH", ["SYNOPSIS"]).text([bold(CONFIG_FILE)]);
    page.control("SH", ["DESCRIPTION"]);
    for (n, paragraph) in FORM.into_iter().enumerate() {
        if n > 0 {
            page.control("PP", []);
        }
        page.text([roman(paragraph)]);
    }
    page.control("SH", ["SETTINGS"]);
    let flags = Config::augment_args(Command::new("actord"));
    for flag in flags.get_arguments().filter(|flag| !flag.is_hide_set() && flag.get_id() != "config") {
        setting(&mut page, flag);
    }
    page.control("SH", ["SEE ALSO"]).text([bold("actord"), roman("(1), "), bold("actord-up"), roman("(1)")]);
    page
}

/// What a setting is called and takes, what it is for, its default, and its name in the environment.
fn setting(page: &mut Roff, flag: &Arg) {
    let name = flag.get_long().unwrap_or_default();
    let takes = flag.get_value_names().unwrap_or_default().join(" ");
    page.control("TP", []).text([bold(name), roman(" = "), italic(takes)]);
    let help = flag.get_long_help().or_else(|| flag.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut words = vec![roman(sentence(&help))];
    let defaults: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() {
        words.extend([roman(" Default: "), bold(defaults.join(", ")), roman(".")]);
    }
    if let Some(variable) = flag.get_env() {
        words.extend([roman(" In the environment: "), bold(variable.to_string_lossy()), roman(".")]);
    }
    page.text(words);
}

/// What a flag says of itself, ended as a sentence.
fn sentence(help: &str) -> String {
    let one_line = help.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.ends_with('.') { one_line } else { one_line + "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_that_people_may_set_is_on_the_page_with_its_default_and_its_variable() {
        let page = page("2026-11-27").render();
        let shown = page.matches("\n.TP\n").count();
        let flags = Config::augment_args(Command::new("actord"));
        let known = flags.get_arguments().filter(|flag| !flag.is_hide_set()).count() - 1;
        assert_eq!(shown, known);
        let expected = "\n.TP\n\\fBstate\\-dir\\fR = \\fIDIR\\fR\nDirectory for what a reboot clears: sockets, network state, \
                        the runtime\\*(Aqs state. Keep it short: sockets are in it. Default: \\fB/run/actord\\fR. \
                        In the environment: \\fBACTORD_STATE_DIR\\fR.\n";
        assert!(page.contains(expected), "{expected} is not in\n{page}");
        assert!(!page.contains("boot\\-id"), "what is for tests alone is not for people");
    }
}
