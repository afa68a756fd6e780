// SPDX-License-Identifier: GPL-2.0

//! The charts, as SVG.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::facts::{in_words, CASES, IN_BYTES};
use crate::sample::{Pool, Run};
use crate::target::{instructions, usual_size};

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A name, a colour and the points.
type Line<'a> = (&'a str, RGBColor, Vec<(f64, f64)>);

const FONT: &str = "sans-serif";
/// Told apart by those who see few colours, too.
const COLOURS: [(Pool, RGBColor); 2] = [
    (Pool::Hugetlb, RGBColor(230, 159, 0)),
    (Pool::Module, RGBColor(0, 114, 178)),
];
const POLICY: RGBColor = RGBColor(0, 114, 178);

/// What each operation takes: a bar for each pool.
pub fn bars(
    path: &Path,
    run: &Run,
    title: &str,
    figure: impl Fn(&Run, &str, Pool) -> Option<f64>,
) -> Drawn {
    let rows: Vec<_> = CASES
        .iter()
        .filter(|(case, _)| !IN_BYTES.contains(case))
        .filter_map(|(case, words)| {
            let values = COLOURS.map(|(pool, _)| figure(run, case, pool));
            values
                .iter()
                .any(Option::is_some)
                .then_some((*words, values))
        })
        .collect();
    let values = rows.iter().flat_map(|(_, values)| values.iter().flatten());
    let most = values.fold(10.0, |most: f64, value| most.max(*value));
    let height = 90 + 30 * rows.len() as u32;
    let root = SVGBackend::new(path, (1070, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(430)
        .build_cartesian_2d((1.0..most * 2.0).log_scale(), 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_label_formatter(&|value| si(*value))
        .draw()?;
    for (bar, (pool, colour)) in COLOURS.iter().enumerate() {
        let shape = |(row, (_, values)): (usize, &(&str, [Option<f64>; 2]))| {
            let top = (rows.len() - row) as f64 - 0.12 - 0.38 * bar as f64;
            let value = values[bar].unwrap_or(1.0).max(1.0);
            Rectangle::new([(1.0, top), (value, top - 0.36)], colour.filled())
        };
        chart
            .draw_series(rows.iter().enumerate().map(shape))?
            .label(pool.name())
            .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled()));
    }
    for (row, (words, _)) in rows.iter().enumerate() {
        let (_, y) = chart.backend_coord(&(1.0, (rows.len() - row) as f64 - 0.35));
        root.draw(&Text::new(*words, (20, y), (FONT, 13)))?;
    }
    legend(&mut chart)?;
    root.present()?;
    Ok(())
}

/// A panel for each case: its cost against the size.
pub fn sizes(path: &Path, run: &Run, cases: &[&str], title: &str) -> Drawn {
    panels(path, cases, title, |area, case| {
        let lines: Vec<_> = COLOURS
            .into_iter()
            .map(|(pool, colour)| (pool.name(), colour, points(run, case, pool)))
            .collect();
        panel(area, in_words(case), &lines)
    })
}

/// The same of the module's policy alone.
pub fn policy(path: &Path, run: &Run, title: &str) -> Drawn {
    let cases = run.cases(Pool::Policy);
    panels(path, &cases, title, |area, case| {
        let points = points(run, case, Pool::Policy);
        panel(area, case, &[("policy", POLICY, points)])
    })
}

fn points(run: &Run, case: &str, pool: Pool) -> Vec<(f64, f64)> {
    let sizes = run.sizes_where(|key| key.case == case && key.pool == pool);
    let of = |pages| Some((pages as f64, instructions(run.get(case, pool, pages)?)));
    sizes.into_iter().filter_map(of).collect()
}

/// Three panels side by side, as many rows as it takes.
fn panels(path: &Path, cases: &[&str], title: &str, draw: impl Fn(&Area, &str) -> Drawn) -> Drawn {
    let rows = cases.len().div_ceil(3).max(1);
    let root = SVGBackend::new(path, (1020, 40 + 200 * rows as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let below = root.titled(title, (FONT, 18))?;
    for (area, case) in below.split_evenly((rows, 3)).iter().zip(cases) {
        draw(area, case)?;
    }
    root.present()?;
    Ok(())
}

fn panel<'a>(area: &Area<'a>, title: &str, lines: &[Line<'a>]) -> Drawn {
    let all = || lines.iter().flat_map(|(_, _, points)| points);
    let last = all().fold(2.0, |most: f64, point| most.max(point.0));
    let first = all().fold(last, |least: f64, point| least.min(point.0));
    let most = all().fold(1.0, |most: f64, point| most.max(point.1));
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 11))
        .margin(6)
        .x_label_area_size(22)
        .y_label_area_size(48)
        // A logarithmic axis has a beginning other than its end.
        .build_cartesian_2d((first * 0.8..last * 1.25).log_scale(), 0.0..most * 1.15)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(4)
        .y_labels(4)
        .x_label_formatter(&|value| si(*value))
        .y_label_formatter(&|value| si(*value))
        .draw()?;
    for (name, colour, points) in lines {
        let colour = *colour;
        let dots = points
            .iter()
            .map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(LineSeries::new(points.clone(), &colour))?;
        chart
            .draw_series(dots)?
            .label(*name)
            .legend(move |(x, y)| Circle::new((x + 6, y), 3, colour.filled()));
    }
    if lines.len() > 1 {
        legend(&mut chart)?;
    }
    Ok(())
}

fn legend<'a, C: CoordTranslate>(chart: &mut ChartContext<'a, SVGBackend<'a>, C>) -> Drawn {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 11))
        .draw()?;
    Ok(())
}

/// What a pool's operation takes under `--icount`.
pub fn counted(run: &Run, case: &str, pool: Pool) -> Option<f64> {
    run.get(case, pool, some_size(run, case)).map(instructions)
}

/// What it takes in time.
pub fn timed(run: &Run, case: &str, pool: Pool) -> Option<f64> {
    run.get(case, pool, some_size(run, case))
        .map(|it| it.median)
}

/// The size that single figures are for; 1 GiB pages have one only.
fn some_size(run: &Run, case: &str) -> u64 {
    if case.starts_with("1G-") {
        return 1;
    }
    usual_size(run)
}

/// 12 k, 3.4 M.
fn si(value: f64) -> String {
    let (number, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = format!("{number:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::si;

    #[test]
    fn labels_are_short() {
        let labels = [0.0, 64.0, 1000.0, 2500.0, 2_097_152.0, 1e9].map(si);
        assert_eq!(labels, ["0", "64", "1 k", "2.5 k", "2.1 M", "1 G"]);
    }
}
