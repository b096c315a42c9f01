//! By which rule a function is scaled, in one line.

use crate::function::{LoadType, Rule, Scaling, Signal};

/// Empty if the autoscaler leaves the function alone.
pub(super) fn in_a_line(scaling: &Scaling) -> String {
    let Some(rule) = &scaling.rule else { return String::new() };
    let bounds = format!("{} to {} replicas", scaling.min, scaling.max);
    match rule {
        Rule::Steps => {
            let step = scaling.up(scaling.min) - scaling.min;
            format!("{bounds}, {step} more while each has over 5 calls a second")
        }
        Rule::Targets { signals, proportion } => {
            let each: Vec<_> = signals.iter().map(each).collect();
            let types: Vec<_> = signals.iter().map(|signal| signal.load.to_string()).collect();
            let percent = (proportion * 1000.0).round() / 10.0;
            let planned = if percent < 100.0 { format!(", planned with {percent} % of it") } else { String::new() };
            format!("{bounds}, {} each (type {}){planned}", each.join(" or "), types.join(","))
        }
    }
}

fn each(Signal { load, target }: &Signal) -> String {
    let (noun, rest) = match load {
        LoadType::Rps => ("call", " a second"),
        LoadType::Capacity => ("request", " in flight"),
        LoadType::Cpu => ("milli-core", ""),
        LoadType::Queue | LoadType::Custom => ("unit", ""),
    };
    let plural = if *target > 1.0 { "s" } else { "" };
    format!("{target} {noun}{plural}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Spec, SpecDraft};

    #[test]
    fn the_rule_is_told_with_its_bounds_and_a_function_without_one_has_no_line() {
        for (labels, line) in [
            (&[][..], ""),
            (&[("max", "4"), ("min", "4")], ""),
            (&[("max", "10")], "1 to 10 replicas, 1 more while each has over 5 calls a second"),
            (&[("max", "20"), ("factor", "25")], "1 to 20 replicas, 5 more while each has over 5 calls a second"),
            (
                &[("type", "capacity"), ("target", "20"), ("min", "2"), ("max", "10")],
                "2 to 10 replicas, 20 requests in flight each (type capacity), planned with 90 % of it",
            ),
            (
                &[("target", "1"), ("type", "capacity"), ("target-proportion", "1")],
                "1 to 20 replicas, 1 request in flight each (type capacity)",
            ),
            (
                &[("type", "rps,cpu"), ("target", "12.5,700"), ("target-proportion", "1")],
                "1 to 20 replicas, 12.5 calls a second or 700 milli-cores each (type rps,cpu)",
            ),
        ] {
            let labels = labels.iter().map(|(key, value)| (format!("com.openfaas.scale.{key}"), (*value).to_owned()));
            let draft = SpecDraft { image: "i".into(), labels: labels.collect(), ..SpecDraft::default() };
            assert_eq!(in_a_line(&Spec::try_from(draft).unwrap().scaling()), line);
        }
    }
}
