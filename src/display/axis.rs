//! Axes: which values get a tick, and how numbers are written.

/// How an axis places its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    /// Whether the values are counts, which have no ticks between whole numbers.
    pub whole: bool,
}

/// A labelled value of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub label: String,
}

/// The ticks of an axis, and the power of ten that all labels leave out (0 for none).
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Ticks {
    pub ticks: Vec<Tick>,
    pub exponent: i32,
    /// Lines without a label, between the decades of a logarithmic axis.
    pub minor: Vec<f64>,
}

/// Beyond this a sum of two values can be infinite.
const HUGE: f64 = 1e300;

impl Scale {
    /// A scale that shows all of `values` that can be shown, with some air around them; a single value stands in the middle.
    pub fn around(values: impl Iterator<Item = f64>, log: bool, air: f64) -> Option<Self> {
        let shown = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (low, high) =
            shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        (low <= high).then(|| Self { low, high, log, whole: false }.widened(air))
    }

    /// The given ends in order, widened if they are one; `None` if an axis cannot have them.
    pub fn between(low: f64, high: f64, log: bool) -> Option<Self> {
        let fine = low.is_finite() && high.is_finite() && (!log || (low > 0.0 && high > 0.0));
        fine.then(|| Self { low: low.min(high), high: low.max(high), log, whole: false }.widened(0.0))
    }

    fn widened(self, air: f64) -> Self {
        let Self { low, high, log, whole } = self;
        if log {
            let (low, high) = (low.log10(), high.log10());
            let air = if high - low < 1e-3 { 0.5 } else { air * (high - low) };
            return Self {
                low: 10f64.powf((low - air).max(-307.0)),
                high: 10f64.powf((high + air).min(307.0)),
                log,
                whole,
            };
        }
        let (low, high) = (low.clamp(-HUGE, HUGE), high.clamp(-HUGE, HUGE));
        let size = low.abs().max(high.abs());
        let span = high - low;
        // Nearly equal values would need labels of many digits that differ in the last.
        let air = match span <= 1e-6 * size {
            true if size == 0.0 => 1.0,
            true => 0.1 * size,
            false => air * span,
        };
        Self { low: low - air, high: high + air, log, whole }
    }

    /// Where a value stands between the ends, 0 to 1; `None` for what the axis cannot show.
    pub fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        let of = |value: f64| if self.log { value.log10() } else { value };
        Some((of(value) - of(self.low)) / (of(self.high) - of(self.low)))
    }

    /// At most about `most` ticks at round values.
    pub fn ticks(&self, most: usize) -> Ticks {
        let most = most.max(2);
        if self.log { self.log_ticks(most) } else { self.linear_ticks(most) }
    }

    fn linear_ticks(&self, most: usize) -> Ticks {
        let span = self.high - self.low;
        if span <= 0.0 || span.is_nan() {
            return Ticks::default();
        }
        let rough = span / most as f64;
        let decade = 10f64.powf(rough.log10().floor());
        let fits = |step: &f64| *step >= rough * 0.999 && (!self.whole || *step >= 10.0 || step.fract() == 0.0);
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * decade).into_iter().find(fits);
        let step = step.unwrap_or(if self.whole { 1.0_f64.max(10.0 * decade) } else { 10.0 * decade });
        let first = (self.low / step - 1e-9).ceil();
        let count = ((self.high / step + 1e-9).floor() - first).clamp(0.0, 200.0) as usize;
        let values: Vec<f64> = (0..=count).map(|index| (first + index as f64) * step).collect();
        let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let power = if largest > 0.0 { largest.log10().floor() as i32 } else { 0 };
        let exponent = if (-3..6).contains(&power) { 0 } else { power };
        let unit = 10f64.powi(exponent);
        let decimals = decimals(step / unit);
        let tick = |value: f64| Tick { value, label: fixed(value / unit, decimals) };
        Ticks { ticks: values.into_iter().map(tick).collect(), exponent, minor: Vec::new() }
    }

    fn log_ticks(&self, most: usize) -> Ticks {
        let (first, last) = ((self.low.log10() - 1e-9).ceil() as i32, (self.high.log10() + 1e-9).floor() as i32);
        let inside = |value: &f64| *value >= self.low * (1.0 - 1e-9) && *value <= self.high * (1.0 + 1e-9);
        let multiples = |digits: &[i32]| -> Vec<f64> {
            let decades = (first - 1)..=last;
            decades.flat_map(|k| digits.iter().map(move |d| f64::from(*d) * 10f64.powi(k))).filter(inside).collect()
        };
        // Counts and frequencies are read as plain numbers, losses as powers of ten.
        let plain = self.low >= 0.5 && self.high < 2e5;
        let short = self.high < 1e3 * self.low && self.low >= 1e-3 && self.high < 2e5;
        let decades = (last - first + 1).max(0) as usize;
        let minor = if decades <= 6 { multiples(&[1, 2, 3, 4, 5, 6, 7, 8, 9]) } else { Vec::new() };
        if self.high < 3.0 * self.low {
            let steps = Self { log: false, ..*self }.linear_ticks(most);
            let ticks = steps.ticks.into_iter().filter(|tick| tick.value > 0.0);
            return Ticks {
                ticks: ticks
                    .map(|tick| if steps.exponent == 0 { tick } else { Tick { label: number(tick.value), ..tick } })
                    .collect(),
                ..Ticks::default()
            };
        }
        if decades < 2 || plain || short {
            for digits in [&[1, 2, 3, 5][..], &[1, 2, 5], &[1, 3]] {
                let values = multiples(digits);
                if (2..=most).contains(&values.len()) {
                    let ticks = values.into_iter().map(|value| Tick { value, label: number(value) }).collect();
                    return Ticks { ticks, exponent: 0, minor };
                }
            }
        }
        let stride = decades.div_ceil(most).max(1) as i32;
        let powers = (first..=last).filter(|k| k.rem_euclid(stride) == 0);
        let tick = |k: i32| {
            let value = 10f64.powi(k);
            Tick { value, label: if plain { number(value) } else { power_of_ten(k) } }
        };
        Ticks { ticks: powers.map(tick).collect(), exponent: 0, minor: if stride == 1 { minor } else { Vec::new() } }
    }
}

/// How many decimals tell multiples of `step` apart.
fn decimals(step: f64) -> usize {
    (0..12)
        .find(|decimals| {
            let scaled = step * 10f64.powi(*decimals as i32);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
        })
        .unwrap_or(12)
}

/// A number with the given decimals and a typographic minus.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// `10⁻³`.
pub(crate) fn power_of_ten(exponent: i32) -> String {
    let raised = |letter: char| match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    };
    format!("10{}", exponent.to_string().chars().map(raised).collect::<String>())
}

/// A number as one would write it: three digits, whole numbers in full, and a power of ten where it is very large or very small.
pub(crate) fn number(value: f64) -> String {
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
        let text = fixed(if power > 2 { value } else { rounded }, (2 - power).max(0) as usize);
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

/// What the labels of an axis leave out: `×10⁻⁵`.
pub(crate) fn multiplier(exponent: i32) -> String {
    if exponent == 0 { String::new() } else { format!("×{}", power_of_ten(exponent)) }
}
