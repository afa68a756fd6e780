// SPDX-License-Identifier: GPL-2.0

//! Medians and spreads.

use serde::Serialize;

/// What many samples of one thing come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    pub samples: usize,
    pub min: f64,
    /// The lowest tenth is below.
    pub low: f64,
    pub q1: f64,
    pub median: f64,
    pub q3: f64,
    pub max: f64,
}

impl Summary {
    /// None without samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            samples: sorted.len(),
            min: *sorted.first()?,
            low: quantile(&sorted, 0.1)?,
            q1: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            q3: quantile(&sorted, 0.75)?,
            max: *sorted.last()?,
        })
    }
}

/// The value below which `share` of the ascending `sorted` lie, between two of them in proportion.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(place.floor() as usize)?;
    let above = sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_is_all_there_is() {
        let one = Summary::of(&[7.0]).unwrap();
        assert_eq!((one.samples, one.min, one.max), (1, 7.0, 7.0));
        assert_eq!((one.q1, one.median, one.q3), (7.0, 7.0, 7.0));
    }

    #[test]
    fn no_sample_is_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn order_does_not_matter() {
        let summary = Summary::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((summary.min, summary.max), (1.0, 5.0));
        assert_eq!((summary.q1, summary.median, summary.q3), (2.0, 3.0, 4.0));
    }

    #[test]
    fn between_two_samples_in_proportion() {
        let summary = Summary::of(&[10.0, 20.0, 30.0, 40.0]).unwrap();
        assert_eq!(summary.median, 25.0);
        assert_eq!(summary.low, 13.0);
        assert_eq!((summary.q1, summary.q3), (17.5, 32.5));
    }

    #[test]
    fn one_of_many_far_off_does_not_move_the_median() {
        let mut samples = vec![100.0; 99];
        samples.push(1e9);
        let summary = Summary::of(&samples).unwrap();
        assert_eq!(
            (summary.median, summary.q3, summary.max),
            (100.0, 100.0, 1e9)
        );
    }
}
