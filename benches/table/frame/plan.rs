//! What is to be measured, how long, and beside which other program: the command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures, and prints one table.
#[derive(Debug, Clone, Default, Parser)]
pub(crate) struct Plan {
    /// Only parts or rows whose name begins so (`deploy`, `rest.frozen`); separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Small counts: proves that everything can be measured, and says nothing of times
    #[arg(long)]
    pub(crate) short: bool,
    /// Another actord that is measured in the same run, in turns, where a row can
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) before: Option<PathBuf>,
    /// What the other one is called in the table
    #[arg(long, default_value = "before")]
    pub(crate) before_name: String,
    /// Settings of the other one; without `--before` it is today's program with these settings
    #[arg(long, value_name = "SETTINGS", allow_hyphen_values = true)]
    pub(crate) before_settings: Option<String>,
    /// Settings of ours
    #[arg(long, value_name = "SETTINGS", allow_hyphen_values = true, default_value = "")]
    pub(crate) settings: String,
    /// Where the results go as JSON; those of a whole run go to benches/results.json if nothing is said
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Measures nothing: prints the rows and their goals
    #[arg(long)]
    pub(crate) list: bool,
    /// Measures nothing: writes benches/README.md's table anew from benches/results.json
    #[arg(long)]
    pub(crate) render: bool,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// An actord that takes part: ours, or the one beside it.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) program: PathBuf,
    pub(crate) settings: Vec<String>,
}

impl Plan {
    /// The short form of one part.
    pub(crate) fn short_of(part: &str) -> Self {
        Self { only: vec![part.to_owned()], short: true, ..Self::default() }
    }

    /// Whether a part or a row is to be measured.
    pub(crate) fn wants(&self, id: &str) -> bool {
        // A part is measured for each of its rows.
        self.only.is_empty()
            || self.only.iter().any(|word| id.starts_with(word.as_str()) || word.starts_with(&format!("{id}.")))
    }

    /// Whether all of the table is measured, and as long as it takes.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_empty() && !self.short
    }

    /// Ours, and the one beside it if there is one.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let own = PathBuf::from(env!("CARGO_BIN_EXE_actord"));
        let ours = Contender { program: own.clone(), settings: words(&self.settings) };
        let is_there = self.before.is_some() || self.before_settings.is_some();
        let beside = is_there.then(|| Contender {
            program: self.before.clone().unwrap_or(own),
            settings: words(self.before_settings.as_deref().unwrap_or_default()),
        });
        std::iter::once(ours).chain(beside).collect()
    }
}
