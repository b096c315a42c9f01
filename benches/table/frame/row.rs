//! A line of the table: what is measured, against what, and what was promised of it.

/// What was promised. Medians are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Nothing: the figure is told for comparison.
    None,
    /// At most, in the row's unit.
    AtMost(f64),
    /// At least, in the row's unit.
    AtLeast(f64),
    /// At most so many times the floor.
    AtMostTimes(f64),
    /// At least so many times the floor.
    AtLeastTimes(f64),
    /// At most what the part computes of figures of this run; the words say of which. See `Measured::bound`.
    AtMostOf(&'static str),
}

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Of values in seconds.
    Seconds,
    Ms,
    Us,
    /// Millions of bytes, of values in bytes.
    Mb,
    /// Of shares of 1.
    Percent,
    PerSecond,
    /// Millions of bytes a second, of values in bytes a second.
    MbPerSecond,
    Failed,
    Count,
}

impl Unit {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Ms => "ms",
            Self::Us => "us",
            Self::Mb => "MB",
            Self::Percent => "%",
            Self::PerSecond => "/s",
            Self::MbPerSecond => "MB/s",
            Self::Failed => "failed",
            Self::Count => "",
        }
    }

    /// How much of it a value of 1 is.
    pub(crate) fn scale(self) -> f64 {
        match self {
            Self::Seconds | Self::PerSecond | Self::Failed | Self::Count => 1.0,
            Self::Ms => 1e3,
            Self::Us => 1e6,
            Self::Mb | Self::MbPerSecond => 1e-6,
            Self::Percent => 100.0,
        }
    }
}

/// A line of the table, before it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// `PART.FIGURE`, for `--only`, the JSON and the paragraph that says why it is missed.
    pub(crate) id: &'static str,
    /// The issue that has the goal, or asks for the figure.
    pub(crate) issue: u32,
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    /// What it is measured against; empty where there is no such thing.
    pub(crate) floor: &'static str,
    pub(crate) goal: Goal,
}
