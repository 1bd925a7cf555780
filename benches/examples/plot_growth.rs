//! Draws what `postfold bench --grow N --json` prints, read from standard input: `docs/growth.svg`.
//!
//! ```sh
//! postfold bench --grow 10000000 --json | tee growth.json | cargo run -p postfold-benches --example plot_growth > docs/growth.svg
//! ```

use std::error::Error;
use std::io::{Read, Write};

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

/// Width and height of the picture.
const SIZE: (u32, u32) = (900, 640);
/// What a panel shows: its title, and its lines by the names in the JSON.
const PANELS: [(&str, &[Line]); 4] = [
    ("Transfers a second, in batches", &[Line("rate", "rate", 1.0)]),
    (
        "Milliseconds, median (p99 thin)",
        &[
            Line("a post alone", "single", 1e-3),
            Line("a balance", "balance", 1e-3),
            Line("an entry by its id", "entry", 1e-3),
        ],
    ),
    (
        "Milliseconds, median (p99 thin)",
        &[Line("a page of a statement", "statement", 1e-3), Line("the trial balance", "trial_balance", 1e-3)],
    ),
    ("Bytes an event", &[Line("tables", "table_bytes", 1.0), Line("indexes", "index_bytes", 1.0)]),
];

/// What it is called, its name in the JSON, and what that is multiplied by.
struct Line(&'static str, &'static str, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let mut json = String::new();
    std::io::stdin().read_to_string(&mut json)?;
    let stations: Vec<Value> = serde_json::from_str(&json)?;
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        for (panel, (title, lines)) in area.split_evenly((2, 2)).iter().zip(PANELS) {
            draw(panel, title, lines, &stations)?;
        }
        area.present()?;
    }
    Ok(std::io::stdout().write_all(picture.as_bytes())?)
}

fn draw(
    panel: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    lines: &[Line],
    stations: &[Value],
) -> Result<(), Box<dyn Error>> {
    let sizes: Vec<f64> = stations.iter().filter_map(|station| station["events"].as_f64()).collect();
    let (Some(&least), Some(&most)) = (sizes.first(), sizes.last()) else { return Err("no sizes to draw".into()) };
    let highest = lines.iter().flat_map(|line| ["p50", "p99"].map(|part| points(stations, line, part))).flatten();
    let highest = highest.map(|(_, value)| value).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d((least..most * 1.1).log_scale(), 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .x_desc("events in the log")
        .light_line_style(WHITE)
        .x_label_formatter(&|size| format!("{size:.0}"))
        .y_label_formatter(&|value| if highest < 20.0 { format!("{value:.1}") } else { format!("{value:.0}") })
        .draw()?;
    for (number, line) in lines.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let median = points(stations, line, "p50");
        chart
            .draw_series(LineSeries::new(median.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(line.0)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        if stations.iter().any(|station| station[line.1].is_object()) {
            chart.draw_series(LineSeries::new(points(stations, line, "p99"), color.mix(0.4)))?;
        }
    }
    if lines.len() > 1 {
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE).draw()?;
    }
    Ok(())
}

/// Size and value at each station; a part of it where it has parts.
fn points(stations: &[Value], Line(_, name, factor): &Line, part: &str) -> Vec<(f64, f64)> {
    let value = |station: &Value| station[*name].as_f64().or_else(|| station[*name][part].as_f64());
    let point = |station: &Value| Some((station["events"].as_f64()?, value(station)? * factor));
    stations.iter().filter_map(point).collect()
}
