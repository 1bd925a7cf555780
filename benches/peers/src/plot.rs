//! The results as a picture: one line a peer, one mark a way to post, on a logarithmic scale.

use std::fmt::Write;

use crate::cell::Cell;
use crate::peer::Load;
use crate::report::whole;
use crate::run::Results;

const WIDTH: f64 = 860.0;
/// Where names end and the scale begins.
const LEFT: f64 = 170.0;
const RIGHT: f64 = 830.0;
const LINE: f64 = 26.0;
/// Above the first line of a panel: title and scale.
const HEAD: f64 = 58.0;
const FOOT: f64 = 44.0;
/// The scale, in powers of ten.
const LEAST: f64 = 0.0;
const MOST: f64 = 5.0;
/// Marks of the ways one by one, few workers first; the last is for batches.
const COLORS: [&str; 4] = ["#9ecae1", "#4292c6", "#08519c", "#041f4a"];
const BATCH_COLOR: &str = "#d94801";

/// The picture.
pub(crate) fn svg(results: &Results) -> String {
    let lines = f64::from(u32::try_from(results.kinds().len()).unwrap_or_default());
    let panel = HEAD + lines * LINE;
    let height = panel * 2.0 + FOOT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (load, top) in Load::ALL.into_iter().zip([0.0, panel]) {
        draw(&mut text, results, load, top, lines);
    }
    legend(&mut text, results, panel * 2.0 + 22.0);
    text.push_str("</svg>\n");
    text
}

fn draw(text: &mut String, results: &Results, load: Load, top: f64, lines: f64) {
    let title = match load {
        Load::Uniform => "Transfers a second, uniform over 10,000 accounts",
        Load::Hot => "Transfers a second, one hot account",
    };
    let (first, last) = (top + HEAD - 8.0, top + HEAD + lines * LINE - 8.0);
    let _ = writeln!(text, "<text x=\"16\" y=\"{}\" font-size=\"14\" font-weight=\"bold\">{title}</text>", top + 24.0);
    for tenfold in ["1", "10", "100", "1000", "10000", "100000"] {
        let value: f64 = tenfold.parse().unwrap_or(1.0);
        let x = place(value);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{first}\" x2=\"{x:.1}\" y2=\"{last}\" stroke=\"#dddddd\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666666\">{}</text>",
            first - 6.0,
            whole(value)
        );
    }
    let mut y = top + HEAD + LINE / 2.0 - 8.0;
    for kind in results.kinds() {
        let _ =
            writeln!(text, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 12.0, y + 4.0, kind.name());
        let singles = results.singles(kind, load);
        for (cell, color) in singles.iter().zip(COLORS) {
            mark(text, results, *cell, y, color);
        }
        if let Some(cell) = results.batches(kind, load) {
            mark(text, results, cell, y, BATCH_COLOR);
        }
        let rates = singles.into_iter().chain(results.batches(kind, load)).map(|cell| results.runs(cell).rate());
        let best = rates.fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{}\" font-size=\"11\" fill=\"#333333\">{}</text>",
            place(best) + 10.0,
            y + 4.0,
            whole(best)
        );
        y += LINE;
    }
}

fn mark(text: &mut String, results: &Results, cell: Cell, y: f64, color: &str) {
    let rate = results.runs(cell).rate();
    if rate <= 0.0 {
        return;
    }
    let x = place(rate);
    let _ = if cell.way.is_batch() {
        writeln!(text, "<rect x=\"{:.1}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{color}\"/>", x - 5.0, y - 5.0)
    } else {
        writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"5\" fill=\"{color}\" stroke=\"#ffffff\"/>")
    };
}

fn legend(text: &mut String, results: &Results, y: f64) {
    let mut x = LEFT;
    let kinds = results.kinds();
    let singles = kinds.first().map(|&kind| results.singles(kind, Load::Uniform)).unwrap_or_default();
    for (cell, color) in singles.iter().zip(COLORS) {
        let workers = cell.way.workers;
        let name = if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
        let _ = writeln!(
            text,
            "<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{color}\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 4.0,
            x + 10.0
        );
        x += 100.0;
    }
    let _ = writeln!(
        text,
        "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{BATCH_COLOR}\"/><text x=\"{}\" y=\"{y}\">in \
         batches, by its own call</text>",
        x - 5.0,
        y - 9.0,
        x + 10.0
    );
}

/// Where a rate is on the scale.
fn place(rate: f64) -> f64 {
    let share = (rate.max(1.0).log10() - LEAST) / (MOST - LEAST);
    LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
}
