//! Names and quantities as fuzz targets: what is taken keeps the bounds that the documents tell, and is printed as it is read.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::path::{Component, Path};

use super::{
    FunctionId, FunctionName, InstanceId, InstanceIds, Namespace, RuntimeName, SecretName, check_variable,
    parse_cpu_millis, parse_duration, parse_memory_bytes, parse_pids_limit,
};

/// No refusal fills a log line, however long the name was.
const REFUSAL_MAX: usize = 2_048;

pub(crate) fn names(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let labels = [
        text.parse::<FunctionName>().map(String::from),
        text.parse::<Namespace>().map(String::from),
        text.parse::<RuntimeName>().map(String::from),
    ];
    let alike = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let (first, last) = (text.bytes().next(), text.bytes().last());
    let ends = first.is_some_and(alike) && last.is_some_and(alike);
    let is_label = ends && text.len() < 64 && text.bytes().all(|byte| alike(byte) || byte == b'-');
    for label in labels {
        match label {
            Ok(name) => assert!(is_label && name == text, "{text:?} was taken for {name:?}"),
            Err(refused) => assert!(!is_label && refused.0.len() <= REFUSAL_MAX, "{text:?}: {refused}"),
        }
    }
    if let Ok(name) = text.parse::<FunctionName>() {
        let mut ids = InstanceIds::new(&name, bytes.len() as u64);
        let id = ids.next_id();
        assert_eq!(id.as_str().parse(), Ok(id.clone()), "an id that was made is read");
        assert!(id.as_str().len() <= 76 && !id.as_str().contains("--"), "containerd does not take {id}");
    }
    let secret = text.parse::<SecretName>();
    if let Ok(name) = &secret {
        assert!(name.as_str() == text && is_one_component(text) && text.len() <= 253, "{text:?} is no file's name");
    }
    let instance = text.parse::<InstanceId>();
    if let Ok(id) = &instance {
        assert!(id.as_str() == text && is_one_component(text) && text.len() <= 76, "{text:?} is no container's id");
    }
    let function = text.parse::<FunctionId>();
    if let Ok(id) = &function {
        assert_eq!(id.to_string().parse().as_ref(), Ok(id), "what is printed of {text:?} is read as another");
    }
    is_label || secret.is_ok() || instance.is_ok() || function.is_ok()
}

fn is_one_component(text: &str) -> bool {
    let mut components = Path::new(text).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(name)), None) if name == text)
}

pub(crate) fn quantities(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let memory = parse_memory_bytes(text);
    if let Ok(bytes) = memory {
        assert!(bytes > 0 && i64::try_from(bytes).is_ok(), "{text:?} is {bytes} bytes");
        assert_eq!(parse_memory_bytes(&bytes.to_string()), Ok(bytes));
        near(text, 1.0, bytes);
    }
    let cpu = parse_cpu_millis(text);
    if let Ok(millis) = cpu {
        assert!((1..=1_000_000_000).contains(&millis), "{text:?} is {millis} milli-cores");
        assert_eq!(parse_cpu_millis(&format!("{millis}m")), Ok(millis));
        near(text, 1_000.0, millis);
    }
    let time = parse_duration(text);
    if let Ok(time) = time {
        assert!(time.as_secs() <= 366 * 24 * 3600, "{text:?} is {time:?}");
        let whole = format!("{}s", time.as_secs());
        assert_eq!(parse_duration(&whole).map(|read| read.as_secs()), Ok(time.as_secs()));
    }
    let pids = parse_pids_limit(text);
    if let Ok(limit) = pids {
        assert!((16..=4_194_304).contains(&limit) && parse_pids_limit(&limit.to_string()) == Ok(limit));
    }
    let variable = text.split_once('\n').map(|(name, value)| (name, value, check_variable(name, value)));
    if let Some((name, value, Ok(()))) = &variable {
        // What execve takes: no NUL, one `=` that parts them, at most 128 KiB with it and the NUL behind.
        let entry = format!("{name}={value}");
        assert!(entry.split_once('=') == Some((name, value)) && !entry.contains('\0') && entry.len() < 128 << 10);
    }
    memory.is_ok() || cpu.is_ok() || time.is_ok() || pids.is_ok() || matches!(variable, Some((_, _, Ok(()))))
}

/// Reads a quantity a second time, in floating point and by another table: what was read is that, rounded up.
fn near(text: &str, unit: f64, read: u64) {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let power = |base: f64, of: &str| of.find(suffix).map(|at| base.powi(i32::try_from(at).unwrap_or(i32::MAX) + 1));
    let factor = match suffix {
        "" => Some(1.0),
        "m" => Some(1e-3),
        _ if suffix.len() == 2 && suffix.ends_with('i') => {
            "KMGTPE".find(&suffix[..1]).map(|at| 1024_f64.powi(i32::try_from(at).unwrap_or(i32::MAX) + 1))
        }
        _ if suffix.len() == 1 => power(1000.0, "kMGTPE"),
        _ => suffix.strip_prefix(['e', 'E']).and_then(|exponent| Some(10_f64.powi(exponent.parse().ok()?))),
    };
    let factor = factor.expect("a suffix that Kubernetes has");
    let number: f64 = number.parse().expect("a number before it");
    let exact = number * factor * unit;
    #[expect(clippy::cast_precision_loss, reason = "the comparison allows for it")]
    let read = read as f64;
    assert!((exact * (1.0 - 1e-9)..=exact * (1.0 + 1e-9) + 1.0).contains(&read), "{text:?} is {exact}, not {read}");
}
