//! Pages of calls, the newest first.
//!
//! ```text
//! dead letters of a function    calls_dead          waiting calls of a function    calls_due of its lane
//! what has ended, of all        calls_ended         all else                       along the file, newest first
//! ```
//! A page looks at a bounded number of rows. Where few of them are wanted it may be empty, and the next one goes on from there.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, ToSql};

use super::StoreError;
use super::call::{Phase, State, Summary};
use super::id::{LaneId, Seq};
use super::list::{Filter, NoSuchPage, Page, Wanted};
use super::row;

/// How many rows one page looks at.
const LOOKED_AT: usize = 20_000;
/// The longest page.
const LONGEST: usize = 1000;

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// What was asked for is none.
    #[error(transparent)]
    NoSuchPage(#[from] NoSuchPage),
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ListError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The index that a page goes by: its end is in that one's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Dead(LaneId),
    Due(LaneId),
    Ended(State),
    File,
    /// Along calls that are named.
    Named,
}

impl Order {
    /// Of the function there is the lane, if it is known.
    pub(super) fn of(wanted: Wanted, function: Option<LaneId>) -> Self {
        match (wanted, function) {
            (Wanted::Dead, Some(lane)) => Self::Dead(lane),
            (Wanted::Waiting | Wanted::Retrying, Some(lane)) => Self::Due(lane),
            (Wanted::Done, _) => Self::Ended(State::Done),
            (Wanted::Dead, None) => Self::Ended(State::Dead),
            (Wanted::Cancelled, _) => Self::Ended(State::Cancelled),
            (Wanted::Any | Wanted::Waiting | Wanted::Running | Wanted::Retrying | Wanted::Callback, _) => Self::File,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Dead(_) => 'd',
            Self::Due(_) => 'w',
            Self::Ended(_) => 'e',
            Self::File => 'f',
            Self::Named => 'n',
        }
    }

    /// The rows of a page that ends before `?1, ?2`, as far as an index gives them: states are written out, so that it can.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Self::Dead(_) => {
                "c.function = ?3 AND c.state = 2 AND (c.due, c.seq) < (?1, ?2) ORDER BY c.due DESC, c.seq DESC"
            }
            Self::Due(_) => "c.lane = ?3 AND c.state = 0 AND (c.due, c.seq) < (?1, ?2) ORDER BY c.due DESC, c.seq DESC",
            Self::Ended(State::Done) => {
                "c.state = 1 AND c.state > 0 AND (c.due, c.seq) < (?1, ?2) ORDER BY c.due DESC, c.seq DESC"
            }
            Self::Ended(State::Cancelled) => {
                "c.state = 3 AND c.state > 0 AND (c.due, c.seq) < (?1, ?2) ORDER BY c.due DESC, c.seq DESC"
            }
            Self::Ended(_) => {
                "c.state = 2 AND c.state > 0 AND (c.due, c.seq) < (?1, ?2) ORDER BY c.due DESC, c.seq DESC"
            }
            Self::File => "?1 > 0 AND c.seq < ?2 ORDER BY c.seq DESC",
            Self::Named => "c.seq = ?1 AND c.state = 0",
        }
    }

    pub(super) fn sql(self) -> String {
        format!(
            "SELECT {} FROM calls c CROSS JOIN lanes l ON l.lane = c.function WHERE {}",
            row::SUMMARY,
            self.condition()
        )
    }

    fn lane(self) -> Option<LaneId> {
        match self {
            Self::Dead(lane) | Self::Due(lane) => Some(lane),
            Self::Ended(_) | Self::File | Self::Named => None,
        }
    }
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    due: i64,
    seq: i64,
}

impl End {
    const NONE: Self = Self { due: i64::MAX, seq: i64::MAX };

    fn write(self, order: Order) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}.{}.{}", order.letter(), self.due, self.seq))
    }

    fn read(text: &str, order: Order) -> Option<Self> {
        let written = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (due, seq) = written.strip_prefix(order.letter())?.strip_prefix('.')?.split_once('.')?;
        Some(Self { due: due.parse().ok()?, seq: seq.parse().ok()? })
    }
}

/// One page. `function` is the lane of the filter's function, if it has one and that has calls.
pub(super) fn page(db: &Connection, filter: &Filter, function: Option<LaneId>) -> Result<Page, ListError> {
    let order = Order::of(filter.wanted, function);
    let end = match &filter.after {
        Some(text) => End::read(text, order).ok_or_else(|| NoSuchPage(text.clone()))?,
        None => End::NONE,
    };
    if filter.function.is_some() && function.is_none() {
        return Ok(Page::default());
    }
    let most = filter.limit.clamp(1, LONGEST);
    let mut statement = db.prepare_cached(&order.sql())?;
    let lane = order.lane().map(|lane| lane.0);
    let values: &[&dyn ToSql] =
        if let Some(lane) = &lane { &[&end.due, &end.seq, lane] } else { &[&end.due, &end.seq] };
    let mut rows = statement.query(values)?;
    let mut page = Page::default();
    for _ in 0..LOOKED_AT {
        let Some(row) = rows.next()? else { return Ok(Page { next: None, ..page }) };
        let call = row::summary(row)?;
        page.next = Some(End { due: call.due, seq: call.seq.0 }.write(order));
        if fits(&call, filter) {
            page.calls.push(call);
            if page.calls.len() == most {
                break;
            }
        }
    }
    if rows.next()?.is_none() {
        page.next = None;
    }
    Ok(page)
}

/// One page of these calls, as far as they wait or are under way.
pub(super) fn among(db: &Connection, filter: &Filter, mut seqs: Vec<Seq>) -> Result<Page, ListError> {
    let end = match &filter.after {
        Some(text) => End::read(text, Order::Named).ok_or_else(|| NoSuchPage(text.clone()))?,
        None => End::NONE,
    };
    seqs.retain(|seq| seq.0 < end.seq);
    seqs.sort_unstable_by(|one, other| other.cmp(one));
    let most = filter.limit.clamp(1, LONGEST);
    let mut statement = db.prepare_cached(&Order::Named.sql())?;
    let mut page = Page::default();
    for seq in seqs {
        if page.calls.len() == most {
            page.next = page.calls.last().map(|last| End { due: 0, seq: last.seq.0 }.write(Order::Named));
            break;
        }
        let mut rows = statement.query([seq.0])?;
        let call = rows.next()?.map(row::summary).transpose()?;
        page.calls.extend(call.filter(|call| fits(call, filter)));
    }
    Ok(page)
}

fn fits(call: &Summary, filter: &Filter) -> bool {
    let state = match filter.wanted {
        Wanted::Any => true,
        Wanted::Waiting | Wanted::Running => call.state == State::Waiting && call.phase == Phase::Function,
        Wanted::Retrying => call.state == State::Waiting && call.phase == Phase::Function && call.tries > 0,
        Wanted::Callback => call.state == State::Waiting && call.phase == Phase::Callback,
        Wanted::Done => call.state == State::Done,
        Wanted::Dead => call.state == State::Dead,
        Wanted::Cancelled => call.state == State::Cancelled,
    };
    state
        && filter.namespace.as_ref().is_none_or(|namespace| call.function.namespace == *namespace)
        && filter.function.as_ref().is_none_or(|function| call.function == *function)
        && filter.since.is_none_or(|since| call.accepted >= since)
        && filter.ended_before.is_none_or(|before| call.state != State::Waiting && call.due < before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_page_is_read_in_the_order_that_it_was_written_in_alone() {
        let end = End { due: 17, seq: -3 };
        let written = end.write(Order::File);
        assert_eq!(End::read(&written, Order::File), Some(end));
        assert_eq!(End::read(&written, Order::Dead(LaneId(1))), None);
        for text in ["", "x", "f.1.2", "Zi4xLg"] {
            assert_eq!(End::read(text, Order::File), None, "{text}");
        }
    }
}
