//! How long calls took, as a person asks for it: half of them no longer than this, all but one in a hundred no longer than that.

use crate::routes::meter::{BUCKETS, lower_bound};

/// Within how many milliseconds so many of a thousand calls came to an end; none if there was none. It is the middle of the
/// counter in which that call was counted, so it is off by a tenth at most.
pub(super) fn quantile(took: &[u32; BUCKETS], of_a_thousand: u64) -> Option<f32> {
    let calls: u64 = took.iter().copied().map(u64::from).sum();
    let wanted = rank(calls, of_a_thousand)?;
    let mut before = 0;
    let at = took.iter().position(|count| {
        before += u64::from(*count);
        before >= wanted
    })?;
    Some((lower_bound(at) * lower_bound(at + 1)).sqrt())
}

/// Which call it is, from 1, if they stand in a row by how long they took.
fn rank(calls: u64, of_a_thousand: u64) -> Option<u64> {
    (calls > 0).then(|| calls.saturating_mul(of_a_thousand).div_ceil(1_000).clamp(1, calls))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::routes::meter::bucket;

    fn counted(micros: &[u64]) -> [u32; BUCKETS] {
        let mut took = [0; BUCKETS];
        for call in micros {
            took[bucket(Duration::from_micros(*call))] += 1;
        }
        took
    }

    #[test]
    fn of_no_call_there_is_no_time() {
        assert_eq!(quantile(&[0; BUCKETS], 500), None);
        let one = quantile(&counted(&[10_000]), 990).unwrap();
        assert!((9.0..11.0).contains(&one), "{one}");
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_tenth_of_the_sorted_ones(
            mut micros in vec(prop_oneof![200_u64..2_000, 1_000_u64..1_000_000, 200_u64..120_000_000], 1..300),
            part in prop_oneof![Just(500), Just(900), Just(990)],
        ) {
            let told = quantile(&counted(&micros), part).unwrap();
            micros.sort_unstable();
            let wanted = rank(micros.len() as u64, part).unwrap();
            let exact = Duration::from_micros(micros[usize::try_from(wanted).unwrap() - 1]).as_secs_f32() * 1_000.0;
            prop_assert!((told / exact - 1.0).abs() < 0.1, "{told} and not {exact}");
        }
    }
}
