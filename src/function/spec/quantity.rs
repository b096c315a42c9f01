//! Kubernetes quantities, the part that OpenFaaS uses: memory in bytes and cpu in milli-cores.

use super::{Invalid, meant};

/// The least memory, in bytes, that makes sense for an instance.
const MEMORY_LEAST: u64 = 1 << 20;

/// The most milli-cores that make sense for an instance. One that may use more is one without a limit.
const CPU_MOST: u64 = 99_000;

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
/// [`Invalid`] for anything that is not a positive quantity of whole bytes, with what was probably meant.
pub fn parse_memory_bytes(text: &str) -> Result<u64, Invalid> {
    parse_bytes("memory", text)
}

/// The same of space on a disk.
pub(super) fn parse_storage_bytes(text: &str) -> Result<u64, Invalid> {
    parse_bytes("ephemeral-storage", text)
}

fn parse_bytes(of: &str, text: &str) -> Result<u64, Invalid> {
    // Thousandths of a byte: Kubernetes takes them, and no one means them.
    let bytes = scaled(text, 1).filter(|_| !text.ends_with('m')).and_then(|n| u64::try_from(n).ok());
    bytes.filter(|n| *n > 0 && i64::try_from(*n).is_ok()).ok_or_else(|| {
        Invalid(format!(
            "invalid {of} quantity {text:?}: {}",
            meant::memory(text)
                .unwrap_or_else(|| "expected a positive number such as 128Mi, 1G or 50000000".to_owned())
        ))
    })
}

/// Milli-cores from a Kubernetes quantity such as `500m`, `0.5` or `2`.
///
/// # Errors
/// [`Invalid`] for anything that is not a positive quantity, with what was probably meant.
pub fn parse_cpu_millis(text: &str) -> Result<u64, Invalid> {
    scaled(text, 1_000).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0 && *n <= 1_000_000_000).ok_or_else(|| {
        let expected = || "expected a positive number of cores such as 500m, 0.5 or 2".to_owned();
        Invalid(format!("invalid cpu quantity {text:?}: {}", meant::cpu(text).unwrap_or_else(expected)))
    })
}

/// Checks the memory of an instance: what is less than a process can start with is a unit that was left out.
pub(super) fn check_memory(text: &str) -> Result<(), Invalid> {
    let bytes = parse_memory_bytes(text)?;
    if bytes >= MEMORY_LEAST {
        return Ok(());
    }
    let meant = meant::memory(text).unwrap_or_else(|| "expected 1Mi or more, such as 128Mi".to_owned());
    Err(Invalid(format!("invalid memory quantity {text:?}: {bytes} bytes are too few for a process: {meant}")))
}

/// Checks the space on a disk of an instance: less than the memory of one is a unit that was left out.
pub(super) fn check_storage(text: &str) -> Result<(), Invalid> {
    let bytes = parse_storage_bytes(text)?;
    if bytes >= MEMORY_LEAST {
        return Ok(());
    }
    let meant = meant::memory(text).unwrap_or_else(|| "expected 1Mi or more, such as 1Gi".to_owned());
    Err(Invalid(format!("invalid ephemeral-storage quantity {text:?}: {bytes} bytes are too few: {meant}")))
}

/// Checks the cpu of an instance: so many whole cores are milli-cores without their unit.
pub(super) fn check_cpu(text: &str) -> Result<(), Invalid> {
    let millis = parse_cpu_millis(text)?;
    if millis <= CPU_MOST {
        return Ok(());
    }
    let meant = meant::cpu(text).unwrap_or_else(|| "expected 99 cores or fewer, such as 500m, 0.5 or 2".to_owned());
    Err(Invalid(format!("invalid cpu quantity {text:?}: {} cores are too many: {meant}", millis / 1_000)))
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
            (".5Ki", 512),
        ] {
            assert_eq!(parse_memory_bytes(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn garbage_negative_and_zero_memory_is_refused() {
        for bad in [
            "",
            " ",
            "0",
            "-1",
            "1 Mi",
            "Mi",
            "1MiB",
            "1mb",
            "ten",
            "1..5",
            "1.2.3",
            "9e99",
            "99999999999E",
            "0x10",
            "128m",
            "1500m",
        ] {
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

    #[test]
    fn what_was_probably_meant_is_said_of_memory() {
        for (text, why) in [
            ("128m", "m means milli, thousandths of a byte: write 128Mi"),
            ("1.5m", "m means milli, thousandths of a byte: write 1.5Mi"),
            ("128 m", "m means milli, thousandths of a byte: write 128Mi"),
            ("1g", "write 1Gi"),
            ("1t", "write 1Ti"),
            ("512K", "write 512Ki"),
            ("128mb", "write 128Mi"),
            ("128MB", "write 128Mi"),
            ("128MiB", "write 128Mi"),
            ("128mi", "write 128Mi"),
            ("1gb", "write 1Gi"),
            ("1 Gi", "write 1Gi"),
            ("1GiB", "write 1Gi"),
            ("2 gigabytes", "write 2Gi"),
            ("64 megabytes", "write 64Mi"),
            ("50000000b", "write 50000000"),
            ("50000000 bytes", "write 50000000"),
            ("1,5Gi", "write 1.5Gi"),
            ("+128Mi", "write 128Mi"),
            // What can be read, and can't be meant.
            ("128", "128 bytes are too few for a process: a number without a unit is bytes: write 128Mi"),
            ("0.5", "1 bytes are too few for a process: a number without a unit is bytes: write 0.5Gi"),
            ("512k", "512000 bytes are too few for a process: expected 1Mi or more, such as 128Mi"),
            ("512Ki", "expected 1Mi or more"),
            ("lots", "expected a positive number such as 128Mi"),
            ("-128Mi", "expected a positive number such as 128Mi"),
        ] {
            let Invalid(reason) = check_memory(text).unwrap_err();
            assert!(reason.contains(why) && reason.contains(&format!("{text:?}")), "{text:?}: {reason}");
        }
        for right in ["1Mi", "128Mi", "128M", "1G", "1.5Gi", "5e7", "50000000", "2048Ki"] {
            check_memory(right).unwrap();
        }
    }

    #[test]
    fn what_was_probably_meant_is_said_of_cpu() {
        for (text, why) in [
            ("500", "500 cores are too many: a number without a unit is whole cores: write 500m"),
            ("100", "write 100m"),
            ("500M", "M means millions: write 500m"),
            ("500Mi", "write 500m"),
            ("500 m", "write 500m"),
            ("500mc", "write 500m"),
            ("500 millicores", "write 500m"),
            ("2 cores", "write 2"),
            ("0.5cpu", "write 0.5"),
            ("50%", "write 500m"),
            ("0,5", "write 0.5"),
            ("+1", "write 1"),
            ("half", "expected a positive number of cores such as 500m, 0.5 or 2"),
            ("-1", "expected a positive number of cores"),
            ("0", "expected a positive number of cores"),
        ] {
            let Invalid(reason) = check_cpu(text).unwrap_err();
            assert!(reason.contains(why) && reason.contains(&format!("{text:?}")), "{text:?}: {reason}");
        }
        for right in ["500m", "0.5", "2", "99", "1e1", "1500m", "0.001"] {
            check_cpu(right).unwrap();
        }
    }
}
