//! Number formatting.

/// Returns the minimum and the maximum; `(∞, −∞)` if there are no values.
pub(crate) fn min_max(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// Formats a number with a fixed number of decimals and a typographic minus sign.
pub(crate) fn format_fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// Formats a power of ten with a superscript exponent: `10⁻³`.
pub(crate) fn power_of_ten(exponent: i32) -> String {
    let superscript = |letter: char| match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    };
    format!("10{}", exponent.to_string().chars().map(superscript).collect::<String>())
}

/// Formats a number with three significant digits; integers in full, very large and very small numbers in scientific notation.
pub(crate) fn format_number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "not a number".into()
        } else if value > 0.0 {
            "∞".into()
        } else {
            "−∞".into()
        };
    }
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    let power = rounded.abs().log10().floor() as i32;
    if (-3..6).contains(&power) {
        let text = format_fixed(if power > 2 { value } else { rounded }, (2 - power).max(0) as usize);
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    let digits = format!("{:.2}", rounded / 10f64.powi(power));
    let digits = digits.trim_end_matches('0').trim_end_matches('.').replace('-', "−");
    match digits.as_str() {
        "1" => power_of_ten(power),
        "−1" => format!("−{}", power_of_ten(power)),
        _ => format!("{digits} × {}", power_of_ten(power)),
    }
}
