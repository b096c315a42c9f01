//! What its instances wrote: one list a function, which a follower goes on with until the function is gone.

use actord::engine::{LogLine, LogLines, LogQuery, Logs, LogsRefused};
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

use super::MemoryEngine;

#[async_trait]
impl Logs for MemoryEngine {
    async fn read(&self, query: LogQuery) -> Result<LogLines, LogsRefused> {
        let kept = self.0.kept.lock().unwrap();
        let Some(function) = kept.functions.get(&query.function) else {
            return Err(LogsRefused::NotFound(query.function));
        };
        let log = function.log.subscribe();
        let (tail, follow) = (query.tail, query.follow);
        let wanted = move |line: &LogLine| query.wants(&line.instance) && query.wants_from(line.time);
        let (mut first, seen): (Vec<LogLine>, usize) = {
            let log = log.borrow();
            (log.iter().filter(|line| wanted(line)).cloned().collect(), log.len())
        };
        let left_out = first.len().saturating_sub(tail.map_or(usize::MAX, |tail| usize::try_from(tail).unwrap()));
        first.drain(..left_out);
        let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
        if !follow {
            return Ok(first.boxed());
        }
        let rest = stream::unfold((log, seen, wanted), |(mut log, seen, wanted)| async move {
            log.changed().await.ok()?;
            let (lines, seen) = {
                let log = log.borrow_and_update();
                (log[seen..].iter().filter(|line| wanted(line)).cloned().collect::<Vec<_>>(), log.len())
            };
            Some((Ok(lines), (log, seen, wanted)))
        });
        let rest =
            rest.filter(|lines| std::future::ready(lines.as_ref().is_ok_and(|lines: &Vec<_>| !lines.is_empty())));
        Ok(first.chain(rest).boxed())
    }
}
