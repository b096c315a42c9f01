//! What a quantity that is wrong was probably meant to be: the units of other tools, and units that were left out.

/// What to write instead of a quantity of memory, if that can be guessed.
pub(super) fn memory(text: &str) -> Option<String> {
    let (number, unit) = split(text)?;
    let unit = match (unit.as_str(), unit.to_ascii_lowercase().as_str()) {
        ("m", _) => return Some(format!("m means milli, thousandths of a byte: write {number}Mi")),
        // Such a one is right but for a sign, a comma or a space, if it is wrong at all.
        ("k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei", _) => {
            return rewritten(text, &format!("{number}{unit}"));
        }
        ("", _) => {
            let unit = if number.contains('.') { "Gi" } else { "Mi" };
            return Some(format!("a number without a unit is bytes: write {number}{unit}"));
        }
        (_, "b" | "byte" | "bytes") => "",
        (_, "k" | "kb" | "ki" | "kib" | "kilobytes") => "Ki",
        (_, "mb" | "mi" | "mib" | "megabyte" | "megabytes" | "meg" | "megs") => "Mi",
        (_, "g" | "gb" | "gi" | "gib" | "gigabyte" | "gigabytes") => "Gi",
        (_, "t" | "tb" | "ti" | "tib" | "terabyte" | "terabytes") => "Ti",
        _ => return None,
    };
    Some(format!("write {number}{unit}"))
}

/// What to write instead of a quantity of cpu, if that can be guessed.
pub(super) fn cpu(text: &str) -> Option<String> {
    let (number, unit) = split(text)?;
    let right = match (unit.as_str(), unit.to_ascii_lowercase().as_str()) {
        ("M", _) => return Some(format!("M means millions: write {number}m")),
        ("", _) if number.parse::<f64>().is_ok_and(|cores| cores >= 100.0) => {
            return Some(format!("a number without a unit is whole cores: write {number}m"));
        }
        ("" | "m", _) => return rewritten(text, &format!("{number}{unit}")),
        (_, "mi" | "mc" | "mcpu" | "milli" | "millis" | "millicore" | "millicores") => format!("{number}m"),
        (_, "c" | "core" | "cores" | "cpu" | "cpus" | "vcpu" | "vcpus") => number,
        (_, "%") => format!("{}m", number.parse::<u32>().ok()?.checked_mul(10)?),
        _ => return None,
    };
    Some(format!("write {right}"))
}

/// Where what was written is not what is right already.
fn rewritten(text: &str, right: &str) -> Option<String> {
    (text != right).then(|| format!("write {right}"))
}

/// The number, with a dot for a comma, and the unit; none if it is no positive number.
fn split(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.replacen(',', ".", 1);
    let is_number = number.parse::<f64>().is_ok_and(|number| number > 0.0);
    is_number.then(|| (number, unit.trim().to_owned()))
}
