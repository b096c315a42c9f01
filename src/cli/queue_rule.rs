//! How a function's asynchronous calls stand, and by which rule they are tried again, in one line.

use super::client::Client;
use crate::function::{FunctionId, Jitter, RetryCodes, RetryRule};
use crate::wire::FunctionQueue;

/// How the calls of a function stand; none where it has none, or the gateway has no such queue.
pub(super) async fn depth(client: &Client, id: &FunctionId) -> Option<FunctionQueue> {
    let query = [("namespace", id.namespace.as_str())];
    let queues: Vec<FunctionQueue> = client.get(&["system", "queues"], &query).await.ok()?;
    queues.into_iter().find(|depth| depth.function == id.to_string())
}

/// Empty for a function that has no calls and the usual rule.
pub(super) fn in_a_line(depth: Option<&FunctionQueue>, rule: &RetryRule) -> String {
    let mut parts = Vec::new();
    if let Some(depth) = depth {
        let counts = [
            (depth.waiting, "waiting"),
            (depth.retrying, "retrying"),
            (depth.in_flight.into(), "under way"),
            (depth.callbacks, "to be called back"),
            (depth.dead, "dead"),
        ];
        let some = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        parts.push(some.collect::<Vec<_>>().join(", "));
        parts.push(depth.held.as_deref().map(|held| format!("held up ({held})")).unwrap_or_default());
    }
    if *rule != RetryRule::default() {
        let codes = match &rule.codes {
            RetryCodes::Usual => String::new(),
            RetryCodes::Only(codes) if codes.is_empty() => " after no answer of its own".to_owned(),
            RetryCodes::Only(codes) => {
                let codes: Vec<_> = codes.iter().map(u16::to_string).collect();
                format!(" after {}", codes.join(", "))
            }
        };
        let chance = match rule.jitter {
            Jitter::None => "",
            Jitter::Full => ", by chance less",
            Jitter::Equal => ", by chance down to half",
        };
        let RetryRule { attempts, min_wait, max_wait, .. } = rule;
        parts.push(format!("{attempts} tries in all{codes}, {min_wait:?} to {max_wait:?} apart{chance}"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_is_not_usual_is_told() {
        let usual = RetryRule::default();
        let none = FunctionQueue::default();
        assert_eq!(in_a_line(None, &usual), "");
        assert_eq!(in_a_line(Some(&none), &usual), "");
        let depth = FunctionQueue { waiting: 3, dead: 1, held: Some("stopped".into()), ..none };
        assert_eq!(in_a_line(Some(&depth), &usual), "3 waiting, 1 dead; held up (stopped)");
        let rule = RetryRule {
            attempts: 3,
            codes: RetryCodes::Only([429, 500].into()),
            min_wait: Duration::from_millis(500),
            jitter: Jitter::Full,
            ..usual
        };
        let line = "3 tries in all after 429, 500, 500ms to 120s apart, by chance less";
        assert_eq!(in_a_line(None, &rule), line);
    }
}
