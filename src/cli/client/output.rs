//! What goes to standard output: tables for people, JSON for programs.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::ClientError;

/// The shape of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Writes bytes to standard output, at once.
pub(in crate::cli) fn print(bytes: &[u8]) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(ClientError::Output)
}

/// Writes a line to standard output.
pub(in crate::cli) fn print_line(line: &str) -> Result<(), ClientError> {
    print(format!("{line}\n").as_bytes())
}

/// Writes a value as indented JSON with a line end.
pub(in crate::cli) fn print_json(value: &impl Serialize) -> Result<(), ClientError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| ClientError::Local(error.to_string()))?;
    print_line(&text)
}

/// Writes a line to standard error, for the user at the terminal: it is no part of the answer.
pub(in crate::cli) fn eprint_line(line: &str) {
    // Where standard error can't be written, there is no other place to say so.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Rows under a head, each column as wide as it has to be.
pub(in crate::cli) struct Table(Vec<Vec<String>>);

impl Table {
    pub(in crate::cli) fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|cell| (*cell).to_owned()).collect()])
    }

    pub(in crate::cli) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // What a server sends must not steer the terminal.
        let plain = |cell: String| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push(cells.into_iter().map(plain).collect());
    }

    pub(in crate::cli) fn print(&self) -> Result<(), ClientError> {
        print(self.render().as_bytes())
    }

    fn render(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let width =
            |column: usize| self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
        let mut text = String::new();
        for row in &self.0 {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_lines_end_without_blanks() {
        let mut table = Table::new(&["NAME", "READY", "REASON"]);
        table.row(["naïve-long".into(), "1/1".into(), String::new()]);
        table.row(["b".into(), "0/1".into(), "bad\x1b[31m\nimage".into()]);
        let expected = "NAME        READY  REASON\nnaïve-long  1/1\nb           0/1    bad [31m image\n";
        assert_eq!(table.render(), expected);
    }
}
