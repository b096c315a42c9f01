//! The table: as text, and as it stands in benches/README.md.

use std::fmt::Write as _;

use super::results::{Figure, Results, RowResult};

/// Between these lines of benches/README.md stands what [`markdown`] makes.
const BEGIN: &str = "<!-- results: made by make bench -->";
const END: &str = "<!-- end of results -->";

/// A number with three digits that say something.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    // 12345 as 12,345.
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
}

fn figure(figure: &Figure) -> String {
    number(figure.median)
}

/// With the values between which half of all lie, where there are several.
fn spread(figure: &Figure) -> String {
    let median = number(figure.median);
    if figure.count < 3 { median } else { format!("{median} ({} to {})", number(figure.low), number(figure.high)) }
}

fn verdict(row: &RowResult) -> &'static str {
    match row.reached {
        Some(true) => "reached",
        Some(false) => "MISSED",
        None => "",
    }
}

/// A goal in words says its value, too.
fn goal(row: &RowResult) -> String {
    let Some(goal) = &row.goal else { return String::new() };
    let is_number = goal.trim_start_matches(['<', '>', '=', ' ']).starts_with(|c: char| c.is_ascii_digit());
    match row.bound {
        Some(bound) if !is_number => format!("{goal} = {} {}", number(bound), row.unit),
        _ => goal.clone(),
    }
}

fn counts(results: &Results) -> String {
    let count = |so: bool| results.rows.iter().filter(|row| row.reached == Some(so)).count();
    let faults: Vec<_> = results.parts.iter().filter_map(|part| part.fault.as_ref()).collect();
    let failed = if faults.is_empty() { String::new() } else { format!(", {} parts not measured", faults.len()) };
    format!("{} goals reached, {} missed{failed}", count(true), count(false))
}

fn times(results: &Results) -> String {
    let parts = results.parts.iter().map(|part| format!("{} {:.0}", part.name, part.seconds));
    format!("{:.0} s in all: {}", results.seconds, parts.collect::<Vec<_>>().join(", "))
}

/// The whole run as text.
pub(crate) fn text(results: &Results) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "actord {}, {} UTC", results.commit, results.date);
    let _ = writeln!(out, "{}", results.machine.told());
    if results.short {
        let _ = writeln!(out, "SHORT FORM: it proves that it runs; its figures mean nothing");
    }
    let head = ["", "ours", results.before.as_deref().unwrap_or(""), "against", "", "ratio", "goal", ""];
    let mut lines = vec![head.map(str::to_owned)];
    for row in &results.rows {
        let unit = |text: String| if row.unit.is_empty() { text } else { format!("{text} {}", row.unit) };
        lines.push([
            row.what.clone(),
            unit(figure(&row.ours)),
            row.before.as_ref().map(|before| unit(figure(before))).unwrap_or_default(),
            row.floor.as_ref().map(|floor| unit(figure(&floor.figure))).unwrap_or_default(),
            row.floor.as_ref().map(|floor| floor.name.clone()).unwrap_or_default(),
            row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            goal(row),
            verdict(row).to_owned(),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    for line in &lines {
        let mut told = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate().filter(|(_, (_, width))| **width > 0) {
            // Numbers stand at the right.
            let cell = if matches!(at, 1 | 2 | 3 | 5) { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            told.push_str(&cell);
            told.push_str("  ");
        }
        let _ = writeln!(out, "{}", told.trim_end());
    }
    for row in results.rows.iter().filter(|row| row.note.is_some()) {
        let _ = writeln!(out, "  {}: {}", row.id, row.note.as_deref().unwrap_or_default());
    }
    for part in &results.parts {
        if let Some(fault) = &part.fault {
            let _ = writeln!(out, "  COULD NOT MEASURE {}: {fault}", part.name);
        }
        if part.busy > super::machine::QUIET {
            let _ = writeln!(out, "  {}: the processors were {:.0} % busy before it began", part.name, part.busy);
        }
    }
    let _ = writeln!(out, "{}", times(results));
    let _ = writeln!(out, "{}", counts(results));
    out
}

/// The whole run for benches/README.md.
pub(crate) fn markdown(results: &Results) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} UTC, commit `{}`. {}.", results.date, results.commit, results.machine.told());
    let _ = writeln!(out, "{}; {}.", counts(results), times(results));
    if let Some(before) = &results.before {
        let _ = writeln!(out, "*{before}* is another actord, measured in the same run, in turns with ours.");
    }
    let _ = writeln!(out, "Medians; in brackets the values between which half of all lie.\n");
    let before = results.before.as_deref().map(|name| (format!(" {name} |"), " ---: |"));
    let (name, rule) = before.unwrap_or_default();
    let _ = writeln!(out, "| row | what | ours |{name} against | ratio | goal | |");
    let _ = writeln!(out, "| --- | --- | ---: |{rule} --- | ---: | --- | --- |");
    for row in &results.rows {
        let told = |text: String| if row.unit.is_empty() { text } else { format!("{text} {}", row.unit) };
        let before = row.before.as_ref().map(|before| told(spread(before))).unwrap_or_default();
        let before = if results.before.is_some() { format!(" {before} |") } else { String::new() };
        let floor = row.floor.as_ref().map(|floor| format!("{}: {}", floor.name, told(spread(&floor.figure))));
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |{before} {} | {} | {} | {} |",
            row.id,
            row.what,
            told(spread(&row.ours)),
            floor.unwrap_or_default(),
            row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            goal(row).replace('<', "&lt;").replace('>', "&gt;"),
            match row.reached {
                Some(true) => "reached",
                Some(false) => "**missed**",
                None => "",
            },
        );
    }
    out
}

/// A text of benches/README.md with this table in it.
pub(crate) fn rendered(readme: &str, results: &Results) -> Option<String> {
    let (head, rest) = readme.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    let table = if results.rows.is_empty() { "None was kept yet.\n".to_owned() } else { markdown(results) };
    Some(format!("{head}{BEGIN}\n{table}{END}{tail}"))
}
