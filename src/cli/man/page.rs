//! The page of one verb: what clap_mangen makes of its flags, and what stands behind its help as sections of their own.
//!
//! ```text
//! about -> NAME, DESCRIPTION      flags -> SYNOPSIS, OPTIONS      after_help -> EXAMPLES (lines that begin with two blanks), NOTES
//! ```

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::title;

/// The page, as man reads it.
pub(super) fn of(verb: &Command, name: &str, date: &str) -> String {
    let mut head = Roff::new();
    title(&mut head, name, "1", date);
    let mut parts = head.render().into_bytes();
    // Writing to memory can't fail.
    let _ = flags(verb, &mut parts);
    let after = verb.get_after_long_help().or_else(|| verb.get_after_help());
    let mut foot = behind(&after.map(ToString::to_string).unwrap_or_default());
    others(&mut foot, verb, name);
    parts.extend(foot.render().into_bytes());
    // Each part brings the lines that say how an apostrophe is written, and a blank line is two breaks with nothing between.
    let said_once = Roff::new().render();
    said_once.clone() + &String::from_utf8_lossy(&parts).replace(&said_once, "").replace(".br\n\n.br\n", ".sp\n")
}

/// What clap_mangen writes of a verb.
fn flags(verb: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(verb.clone());
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    if verb.get_arguments().any(|flag| !flag.is_hide_set()) {
        man.render_options_section(page)?;
    }
    if verb.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(page)?;
    }
    Ok(())
}

/// What stands behind a verb's help, in two sections.
fn behind(text: &str) -> Roff {
    let is_example = |line: &&str| line.starts_with("  ");
    let mut page = Roff::new();
    let said = text.lines().filter(|line| !is_example(line) && !line.starts_with("Example"));
    let (mut has_begun, mut is_parted) = (false, false);
    for line in said {
        if line.is_empty() {
            is_parted = has_begun;
            continue;
        }
        if !has_begun {
            page.control("SH", ["NOTES"]);
        } else if is_parted {
            page.control("PP", []);
        }
        page.text([roman(line)]);
        (has_begun, is_parted) = (true, false);
    }
    let mut shown = text.lines().filter(is_example).peekable();
    if shown.peek().is_some() {
        page.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in shown {
            page.text([roman(line.trim_start())]);
        }
        page.control("fi", []);
    }
    page
}

/// Where to read on.
fn others(page: &mut Roff, verb: &Command, name: &str) {
    page.control("SH", ["SEE ALSO"]);
    let takes_settings = verb.get_arguments().any(|flag| flag.get_id() == "config");
    let mut pages = Vec::new();
    if name != "actord" {
        pages.extend([bold("actord"), roman("(1)")]);
    }
    if name == "actord" || takes_settings {
        pages.extend([roman(if pages.is_empty() { "" } else { ", " }), bold("actord.toml"), roman("(5)")]);
    }
    page.text(pages);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_by_a_person_stands_line_by_line_and_what_is_said_flows() {
        let text = "Example:\n  actord ls\n  actord ls -A\n\nSTATE says where\na function stands.\n\n\nAnd 'more'.\n";
        let expected = ".SH NOTES\nSTATE says where\na function stands.\n.PP\nAnd 'more'.\n\
                        .SH EXAMPLES\n.nf\nactord ls\nactord ls \\-A\n.fi\n";
        assert_eq!(behind(text).to_roff(), expected);
        assert_eq!(behind("").to_roff(), "");
        assert_eq!(behind("Exit codes: 0 done").to_roff(), ".SH NOTES\nExit codes: 0 done\n");
        assert_eq!(behind("Example:\n  actord start hello").to_roff(), ".SH EXAMPLES\n.nf\nactord start hello\n.fi\n");
    }
}
