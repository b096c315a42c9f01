//! What a run found: printed by [`super::report`], kept as JSON.

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::row::{Goal, Row, Unit};
use super::series::Series;

/// A run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Results {
    /// In UTC.
    pub(crate) date: String,
    /// What was measured; with a plus where the tree had changes that no commit has.
    pub(crate) commit: String,
    /// What the other column is, where there is one.
    pub(crate) before: Option<String>,
    /// With small counts: figures mean nothing.
    pub(crate) short: bool,
    pub(crate) machine: Machine,
    /// How long it took, without the build.
    pub(crate) seconds: f64,
    pub(crate) parts: Vec<PartResult>,
    pub(crate) rows: Vec<RowResult>,
}

/// One part of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartResult {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// How busy the processors were before it began, in percent.
    pub(crate) busy: f64,
    /// Why it could not measure.
    pub(crate) fault: Option<String>,
}

/// One row: everything is in its unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RowResult {
    pub(crate) id: String,
    pub(crate) issue: u32,
    pub(crate) what: String,
    pub(crate) unit: String,
    pub(crate) ours: Figure,
    pub(crate) before: Option<Figure>,
    pub(crate) floor: Option<Floor>,
    /// Ours to the floor.
    pub(crate) ratio: Option<f64>,
    /// As it is told; none where there is none.
    pub(crate) goal: Option<String>,
    /// What ours is compared with, in the row's unit.
    pub(crate) bound: Option<f64>,
    pub(crate) reached: Option<bool>,
    pub(crate) note: Option<String>,
}

/// A median, and between which values half of all lie.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) count: usize,
}

/// What a row is measured against.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) figure: Figure,
}

impl Figure {
    pub(crate) fn of(series: &Series, unit: Unit) -> Self {
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| series.quantile(part) * unit.scale());
        Self { median, low, high, count: series.values().len() }
    }

    pub(crate) fn is_number(&self) -> bool {
        [self.median, self.low, self.high].iter().all(|value| value.is_finite()) && self.count > 0
    }
}

impl Row {
    /// The goal in words.
    pub(crate) fn goal_told(&self) -> Option<String> {
        let unit = self.unit.name();
        Some(match self.goal {
            Goal::None => return None,
            Goal::AtMost(value) => format!("<= {value} {unit}").trim().to_owned(),
            Goal::AtLeast(value) => format!(">= {value} {unit}").trim().to_owned(),
            Goal::AtMostTimes(times) => format!("<= {times} x {}", self.floor),
            Goal::AtLeastTimes(times) => format!(">= {times} x {}", self.floor),
            Goal::AtMostOf(words) => format!("<= {words}"),
        })
    }

    /// What ours is compared with, and whether ours must not be greater.
    pub(crate) fn bound(&self, floor: Option<f64>, computed: Option<f64>) -> Option<(f64, bool)> {
        match self.goal {
            Goal::None => None,
            Goal::AtMost(value) => Some((value, true)),
            Goal::AtLeast(value) => Some((value, false)),
            Goal::AtMostTimes(times) => floor.map(|floor| (times * floor, true)),
            Goal::AtLeastTimes(times) => floor.map(|floor| (times * floor, false)),
            Goal::AtMostOf(_) => computed.map(|value| (value, true)),
        }
    }
}
