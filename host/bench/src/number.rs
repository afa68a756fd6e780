// SPDX-License-Identifier: GPL-2.0

//! Numbers as they are shown.

/// None where one is missing or there is nothing to divide by.
pub fn quotient(over: Option<f64>, under: Option<f64>) -> Option<f64> {
    let (over, under) = over.zip(under)?;
    (under > 0.0).then_some(over / under)
}

/// `module` as a part of `hugetlb`.
pub fn ratio(module: Option<f64>, hugetlb: Option<f64>) -> String {
    match quotient(module, hugetlb) {
        None => "-".to_string(),
        Some(part) if part < 0.1 => format!("{part:.4}"),
        Some(part) => format!("{part:.3}"),
    }
}

/// A number with its unit.
pub fn amount(value: Option<f64>, unit: &str) -> String {
    value.map_or("-".to_string(), |value| {
        format!("{} {unit}", grouped(value))
    })
}

/// A number with commas between the thousands; with decimals if it is small.
pub fn grouped(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(grouped(2_097_152.0), "2,097,152");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(grouped(12.0), "12");
        assert_eq!(grouped(1.5), "1.50");
        assert_eq!(ratio(Some(1.0), Some(2.0)), "0.500");
        assert_eq!(ratio(Some(1.0), Some(300.0)), "0.0033");
        assert_eq!(ratio(Some(1.0), Some(0.0)), "-");
    }
}
