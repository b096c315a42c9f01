//! A run of the table: parts one after the other, each with what it told and what it could not tell.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::time::{Duration, Instant, timeout};

use super::machine::{self, Machine};
use super::plan::Plan;
use super::results::{Figure, Floor, PartResult, Results, RowResult};
use super::row::{Goal, Row};
use super::series::Series;
use crate::actord::{Actord, HELLO_1, HELLO_2};
use crate::sample::Sample;

/// How long a part may take. What hangs for ever is a fault of that part, and is swept away.
const PATIENCE: Duration = Duration::from_secs(600);

/// Some rows that are measured together.
pub(crate) struct Part {
    /// The first word of its rows' ids.
    pub(crate) name: &'static str,
    pub(crate) rows: &'static [Row],
    pub(crate) run: for<'a> fn(&'a mut Bench) -> LocalBoxFuture<'a, ()>,
}

/// What was seen of a row. Values are in seconds, bytes or plain numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    lanes: Vec<Series>,
    floor: Option<Series>,
    bound: Option<f64>,
    note: Option<String>,
}

impl Measured {
    /// Of each contender, ours first.
    pub(crate) fn of(lanes: Vec<Series>) -> Self {
        Self { lanes, ..Self::default() }
    }

    /// Of ours alone.
    pub(crate) fn ours(series: impl Into<Series>) -> Self {
        Self::of(vec![series.into()])
    }

    /// Beside what it is measured.
    pub(crate) fn floor(self, series: impl Into<Series>) -> Self {
        Self { floor: Some(series.into()), ..self }
    }

    /// What it is to be at most, where the goal is computed of figures of the run.
    pub(crate) fn bound(self, value: f64) -> Self {
        Self { bound: Some(value), ..self }
    }

    /// What should be known of this figure.
    pub(crate) fn note(self, text: impl Into<String>) -> Self {
        Self { note: Some(text.into()), ..self }
    }
}

/// What a part is given: the plan, and the place where its figures go.
pub(crate) struct Bench {
    plan: Plan,
    rows: &'static [Row],
    told: Vec<RowResult>,
    cannot: Vec<String>,
}

impl Bench {
    /// One value for the short form, another for the whole one.
    pub(crate) fn sized<T>(&self, short: T, whole: T) -> T {
        if self.plan.short { short } else { whole }
    }

    /// Whether this row is to be measured, for a part that can leave some out.
    pub(crate) fn wants(&self, id: &str) -> bool {
        self.plan.wants(id)
    }

    /// An empty series for each contender.
    pub(crate) fn lanes(&self) -> Vec<Series> {
        vec![Series::default(); self.plan.contenders().len()]
    }

    /// An actord of each contender, ours first, with the sample's two images and these settings.
    pub(crate) async fn field(&self, settings: &[&str]) -> Vec<Actord> {
        let mut field = Vec::new();
        for contender in 0..self.plan.contenders().len() {
            field.push(self.actord_of(contender, settings).await);
        }
        field
    }

    /// Ours alone, for rows that have no other column.
    pub(crate) async fn actord(&self, settings: &[&str]) -> Actord {
        self.actord_of(0, settings).await
    }

    async fn actord_of(&self, contender: usize, settings: &[&str]) -> Actord {
        let contender = &self.plan.contenders()[contender];
        let mut all: Vec<&str> = settings.to_vec();
        if !all.contains(&"--log-level") {
            all.extend(["--log-level", "info"]);
        }
        all.extend(contender.settings.iter().map(String::as_str));
        Actord::of(&contender.program, &all, |images| {
            for (reference, version) in [(HELLO_1, "1"), (HELLO_2, "2")] {
                Sample::new(reference).version(version).env("QUIET", "1").write(images);
            }
        })
        .await
    }

    /// Tells a row's figures.
    pub(crate) fn tell(&mut self, id: &str, measured: Measured) {
        let row = self.rows.iter().find(|row| row.id == id).unwrap_or_else(|| panic!("no row {id} is promised"));
        let figure = |series: &Series| Figure::of(series, row.unit);
        let ours = figure(measured.lanes.first().expect("ours"));
        let floor = measured.floor.as_ref().map(figure);
        let scaled = measured.bound.map(|value| value * row.unit.scale());
        let bound = row.bound(floor.map(|floor| floor.median), scaled);
        if !ours.is_number() || floor.is_some_and(|floor| !floor.is_number()) {
            return self.cannot(id, "its figures are no numbers");
        }
        if bound.is_none() && !matches!(row.goal, Goal::None) {
            return self.cannot(id, "its goal has nothing to be compared with");
        }
        self.told.push(RowResult {
            id: row.id.to_owned(),
            issue: row.issue,
            what: row.what.to_owned(),
            unit: row.unit.name().to_owned(),
            ours,
            before: measured.lanes.get(1).map(figure).filter(Figure::is_number),
            ratio: floor.map(|floor| ours.median / floor.median).filter(|ratio| ratio.is_finite()),
            floor: floor.map(|figure| Floor { name: row.floor.to_owned(), figure }),
            goal: row.goal_told(),
            bound: bound.map(|(value, _)| value),
            reached: bound.map(|(value, at_most)| if at_most { ours.median <= value } else { ours.median >= value }),
            note: measured.note,
        });
    }

    /// Says why a row could not be measured.
    pub(crate) fn cannot(&mut self, id: &str, why: &str) {
        self.cannot.push(format!("{id}: {why}"));
    }

    async fn part(plan: &Plan, part: &Part) -> (PartResult, Vec<RowResult>) {
        let busy = machine::busy().await;
        let begun = Instant::now();
        let mut bench = Self { plan: plan.clone(), rows: part.rows, told: Vec::new(), cannot: Vec::new() };
        let ended = timeout(PATIENCE, AssertUnwindSafe((part.run)(&mut bench)).catch_unwind()).await;
        let mut faults = std::mem::take(&mut bench.cannot);
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                faults.push(text.lines().take(3).collect::<Vec<_>>().join(" "));
            }
            Err(_) => faults.push(format!("it took longer than {PATIENCE:?}")),
        }
        let known =
            |id: &str| bench.told.iter().any(|row| row.id == id) || faults.iter().any(|why| why.starts_with(id));
        let missing = part.rows.iter().filter(|row| plan.wants(row.id) && !known(row.id));
        let missing: Vec<String> = missing.map(|row| format!("{}: not measured", row.id)).collect();
        faults.extend(missing);
        let fault = (!faults.is_empty()).then(|| faults.join("; "));
        let seconds = begun.elapsed().as_secs_f64();
        bench.told.retain(|row| plan.wants(&row.id));
        bench.told.sort_by_key(|told| part.rows.iter().position(|row| row.id == told.id));
        (PartResult { name: part.name.to_owned(), seconds, busy, fault }, bench.told)
    }

    /// Measures what the plan asks for.
    pub(crate) async fn run(plan: &Plan, parts: &[Part], commit: String) -> Results {
        let begun = Instant::now();
        let is_alone = plan.contenders().len() == 1;
        let mut results = Results {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M").to_string(),
            commit,
            before: (!is_alone).then(|| plan.before_name.clone()),
            short: plan.short,
            machine: Machine::look().await,
            ..Results::default()
        };
        for part in parts.iter().filter(|part| plan.wants(part.name) || part.rows.iter().any(|row| plan.wants(row.id)))
        {
            eprintln!("measuring {} ...", part.name);
            let (told, rows) = Self::part(plan, part).await;
            results.parts.push(told);
            results.rows.extend(rows);
        }
        results.seconds = begun.elapsed().as_secs_f64();
        results
    }
}

/// Ends them, and checks that nothing is left.
pub(crate) async fn finish(field: Vec<Actord>) {
    for actord in field {
        actord.finish().await;
    }
}
