//! Kubernetes quantities, the part that OpenFaaS uses: memory in bytes and cpu in milli-cores.

use super::Invalid;

/// Suffixes and their factors as (numerator, denominator).
const SUFFIXES: &[(&str, u128, u128)] = &[
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Pi", 1 << 50, 1),
    ("Ei", 1 << 60, 1),
    ("m", 1, 1_000),
    ("k", 1_000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
    ("P", 1_000_000_000_000_000, 1),
    ("E", 1_000_000_000_000_000_000, 1),
];

/// Reads `text` as a quantity and returns it times `unit`, rounded up.
///
/// The grammar is Kubernetes' `resource.Quantity`: digits, at most one dot, then a suffix or a decimal exponent.
fn scaled(text: &str, unit: u128) -> Option<u128> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || whole.len() > 19 || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let places = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let (up, down) = if suffix.is_empty() {
        (1, 1)
    } else if let Some((_, up, down)) = SUFFIXES.iter().find(|(name, ..)| *name == suffix) {
        (*up, *down)
    } else {
        let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        let power = 10u128.checked_pow(exponent.unsigned_abs())?;
        if exponent < 0 { (1, power) } else { (power, 1) }
    };
    let above = digits.checked_mul(up)?.checked_mul(unit)?;
    Some(above.div_ceil(places.checked_mul(down)?))
}

/// Bytes of memory from a Kubernetes quantity such as `128Mi`, `1G`, `1.5Gi` or `5e7`.
///
/// # Errors
/// [`Invalid`] for anything that is not a positive quantity.
pub fn parse_memory_bytes(text: &str) -> Result<u64, Invalid> {
    scaled(text, 1).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0 && i64::try_from(*n).is_ok()).ok_or_else(
        || {
            Invalid(format!(
                "invalid memory quantity {text:?}: expected a positive number such as 128Mi, 1G or 50000000"
            ))
        },
    )
}

/// Milli-cores from a Kubernetes quantity such as `500m`, `0.5` or `2`.
///
/// # Errors
/// [`Invalid`] for anything that is not a positive quantity.
pub fn parse_cpu_millis(text: &str) -> Result<u64, Invalid> {
    scaled(text, 1_000).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0 && *n <= 1_000_000_000).ok_or_else(|| {
        Invalid(format!("invalid cpu quantity {text:?}: expected a positive number of cores such as 500m, 0.5 or 2"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_kubernetes_reads_it() {
        for (text, bytes) in [
            ("128Mi", 128 << 20),
            ("1G", 1_000_000_000),
            ("1.5Gi", 3 << 29),
            ("5e7", 50_000_000),
            ("5E7", 50_000_000),
            ("64k", 64_000),
            ("1", 1),
            ("1500m", 2),
            (".5Ki", 512),
        ] {
            assert_eq!(parse_memory_bytes(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn garbage_negative_and_zero_memory_is_refused() {
        for bad in
            ["", " ", "0", "-1", "1 Mi", "Mi", "1MiB", "1mb", "ten", "1..5", "1.2.3", "9e99", "99999999999E", "0x10"]
        {
            assert!(parse_memory_bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cpu_is_counted_in_milli_cores() {
        for (text, millis) in [("500m", 500), ("0.5", 500), ("2", 2000), ("100m", 100), ("1e1", 10_000)] {
            assert_eq!(parse_cpu_millis(text).unwrap(), millis, "{text}");
        }
        for bad in ["", "-1", "0", "m", "one", "1e10"] {
            assert!(parse_cpu_millis(bad).is_err(), "{bad:?}");
        }
    }
}
