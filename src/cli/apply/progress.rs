//! What the person who waits sees: a bar for each function under way on a terminal, else a line when something changes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::report::Outcome;
use crate::cli::client::eprint_line;
use crate::function::FunctionId;

/// How far a function is at each step, of [`END`]. A pull takes the longest, and has the most room.
const STEPS: &[(&str, u64)] = &[
    ("asked for", 2),
    ("pulling", 10),
    ("waiting for a place", 55),
    ("attaching", 60),
    ("creating", 70),
    ("starting", 80),
    ("waiting until ready", 90),
];
const END: u64 = 100;

/// The progress of all functions.
pub(in crate::cli) enum Progress {
    Bars { all: MultiProgress, total: ProgressBar, each: BTreeMap<FunctionId, ProgressBar> },
    Lines { last: BTreeMap<FunctionId, String> },
}

impl Progress {
    /// Bars if they are wanted and standard error is a terminal.
    pub(in crate::cli) fn new(bars: bool) -> Self {
        if bars && io::stderr().is_terminal() {
            return Self::Bars { all: MultiProgress::new(), total: ProgressBar::hidden(), each: BTreeMap::new() };
        }
        Self::Lines { last: BTreeMap::new() }
    }

    pub(in crate::cli) fn begin(&mut self, count: usize) {
        if let Self::Bars { all, total, .. } = self {
            *total = all.add(ProgressBar::new(count.try_into().unwrap_or(u64::MAX)));
            total.set_style(style("{bar:28.green/dim} {pos}/{len} done in {elapsed}"));
        }
    }

    /// A function was asked for.
    pub(in crate::cli) fn sent(&mut self, id: &FunctionId) {
        if let Self::Bars { all, each, total } = self {
            let bar = all.insert_before(total, ProgressBar::new(END));
            bar.set_style(style("{bar:28.cyan/dim} {prefix}  {msg}"));
            bar.set_prefix(id.to_string());
            each.insert(id.clone(), bar);
        }
        self.step(id, "asked for", None);
    }

    /// What is being done for it, and what that waits for.
    pub(super) fn step(&mut self, id: &FunctionId, step: &str, waiting_for: Option<&str>) {
        let text = waiting_for.map_or_else(|| step.to_owned(), |what| format!("{step}: {what}"));
        match self {
            Self::Bars { each, .. } => {
                let Some(bar) = each.get(id) else { return };
                if let Some((_, position)) = STEPS.iter().find(|(name, _)| *name == step) {
                    bar.set_position(*position);
                }
                bar.set_message(text);
            }
            Self::Lines { last } => {
                if last.insert(id.clone(), text.clone()).as_ref() != Some(&text) {
                    eprint_line(&format!("{id}: {text}"));
                }
            }
        }
    }

    /// It is over with a function: its line stays, its bar makes room for the next.
    pub(super) fn done(&mut self, outcome: &Outcome) {
        let mark = if outcome.is_done() { "" } else { "!! " };
        let reason = if outcome.reason().is_empty() { String::new() } else { format!(": {}", outcome.reason()) };
        let time = outcome.took.as_secs_f64();
        let line = format!("{mark}{}: {} in {time:.1} s{reason}", outcome.id, outcome.result());
        match self {
            Self::Bars { all, each, total } => {
                if let Some(bar) = each.remove(&outcome.id) {
                    bar.finish_and_clear();
                    all.remove(&bar);
                }
                total.inc(1);
                // A terminal that went away takes no more lines.
                let _ = all.println(line);
            }
            Self::Lines { .. } => eprint_line(&line),
        }
    }

    /// Leaves the terminal as it was.
    pub(in crate::cli) fn end(&mut self) {
        if let Self::Bars { all, each, total } = self {
            each.values().for_each(ProgressBar::finish_and_clear);
            total.finish_and_clear();
            // As above.
            let _ = all.clear();
        }
    }
}

/// The templates are this file's own: one that is wrong would only look different.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_only_go_forward_and_their_templates_are_right() {
        assert!(STEPS.windows(2).all(|pair| pair[0].1 < pair[1].1) && STEPS.iter().all(|(_, at)| *at < END));
        for template in ["{bar:28.green/dim} {pos}/{len} done in {elapsed}", "{bar:28.cyan/dim} {prefix}  {msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
