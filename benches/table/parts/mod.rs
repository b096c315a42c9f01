//! The parts of the table: each has its rows and measures them. Add one: a file, and its line in `ALL`.

mod change;
mod density;
mod deploy;
mod fire;
mod fleet;
mod growth;
mod logs;
mod proxy;
mod queue;
mod slow;

use std::net::SocketAddr;

use crate::client::{Connection, Request};
use crate::frame::{Part, Series};

/// In the order in which they are measured and told.
pub(crate) const ALL: &[Part] = &[
    Part { name: "deploy", rows: deploy::ROWS, run: |bench| Box::pin(deploy::run(bench)) },
    Part { name: "proxy", rows: proxy::ROWS, run: |bench| Box::pin(proxy::run(bench)) },
    Part { name: "change", rows: change::ROWS, run: |bench| Box::pin(change::run(bench)) },
    Part { name: "fire", rows: fire::ROWS, run: |bench| Box::pin(fire::run(bench)) },
    Part { name: "fleet", rows: fleet::ROWS, run: |bench| Box::pin(fleet::run(bench)) },
    Part { name: "density", rows: density::ROWS, run: |bench| Box::pin(density::run(bench)) },
    Part { name: "growth", rows: growth::ROWS, run: |bench| Box::pin(growth::run(bench)) },
    Part { name: "queue", rows: queue::ROWS, run: |bench| Box::pin(queue::run(bench)) },
    Part { name: "slow", rows: slow::ROWS, run: |bench| Box::pin(slow::run(bench)) },
    Part { name: "logs", rows: logs::ROWS, run: |bench| Box::pin(logs::run(bench)) },
];

/// The time of each answer on a kept connection.
async fn times(to: SocketAddr, request: &Request, count: usize) -> Series {
    let mut connection = Connection::open(to).await.unwrap();
    let mut series = Series::default();
    for _ in 0..count {
        let answer = series.time(connection.ask(request)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    series
}
