//! Quantities as Kubernetes writes them: `500m`, `2`, `1.5Gi`, `128M`, `1e3`.

/// A quantity that is not negative, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(u128);

/// Suffixes and what they multiply by, in thousandths.
const SUFFIXES: [(&str, u128); 15] = [
    ("Ki", 1_000 << 10),
    ("Mi", 1_000 << 20),
    ("Gi", 1_000 << 30),
    ("Ti", 1_000 << 40),
    ("Pi", 1_000 << 50),
    ("Ei", 1_000 << 60),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000),
    ("K", 1_000_000),
    ("", 1_000),
];

/// Digits behind the point that are read; Kubernetes keeps three of the value's.
const MAX_FRACTION: usize = 9;

impl Quantity {
    /// Of a whole number.
    pub fn of(number: u64) -> Self {
        Self(u128::from(number) * 1_000)
    }

    /// Reads a quantity. What is finer than a thousandth is rounded up, as Kubernetes does.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty())
            || fraction.len() > MAX_FRACTION
            || fraction.contains('.')
            || whole.len() > 19
        {
            return None;
        }
        let by = match suffix.strip_prefix(['e', 'E']).and_then(|power| power.parse::<u32>().ok()) {
            Some(power) if power <= 18 => 1_000 * 10_u128.pow(power),
            _ => SUFFIXES.iter().find(|(known, _)| *known == suffix)?.1,
        };
        let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        Some(Self(digits.checked_mul(by)?.div_ceil(scale)))
    }

    /// As a whole number, rounded up; `None` where it does not fit.
    pub fn whole(self) -> Option<u64> {
        u64::try_from(self.0.div_ceil(1_000)).ok()
    }

    /// In thousandths; `None` where it does not fit.
    pub fn milli(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_mean_what_kubernetes_means() {
        for (text, milli) in [
            ("0", 0),
            ("1", 1_000),
            ("500m", 500),
            ("1.5", 1_500),
            (".5", 500),
            ("0.1m", 1),
            ("2k", 2_000_000),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("128M", 128_000_000_000),
            ("1e3", 1_000_000),
            ("1E3", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000),
        ] {
            assert_eq!(Quantity::parse(text), Some(Quantity(milli)), "{text}");
        }
        for text in ["", "m", "-1", "1.2.3", "1 Gi", "1gb", "0x10", "max", "1e99", "Ki", "٣"] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_brings_the_reader_down(text in "[0-9.eEKMGTPkmi]{0,30}|.{0,12}") {
            if let Some(quantity) = Quantity::parse(&text) {
                let _ = (quantity.whole(), quantity.milli());
            }
        }
    }
}
